/* SPDX-License-Identifier: ISC */
/* The allow-list's two questions: what is asked for, and where that leads. */
#include "place/egress/allow.h"

#include "base/util.h"
#include "place/egress/addr.h"

void allow_init(struct allow *a)
{
	memset(a, 0, sizeof(*a));
}

void allow_finish(struct allow *a)
{
	free(a->list);
	allow_init(a);
}

int allow_add(struct allow *a, const char *text, struct err *e)
{
	struct hostport h;
	if (hostport_parse(text, &h, e) < 0)
		return -1;
	if (allow_asks(a, &h))
		return 0;
	if (a->n == ALLOW_MAX)
		return err_set(e, ERR_LIMIT, "an allow-list has at most %d destinations", ALLOW_MAX);
	a->list = xrealloc(a->list, (a->n + 1) * sizeof(*a->list));
	a->list[a->n++] = h;
	return 0;
}

bool allow_asks(const struct allow *a, const struct hostport *want)
{
	for (size_t i = 0; i < a->n; i++)
		if (hostport_equal(&a->list[i], want))
			return true;
	return false;
}

int allow_leads(const struct allow *a, const struct hostport *want, const struct hostport *to,
	bool own, struct err *e)
{
	enum addr_class class = addr_classify(to->family, to->addr);
	if ((class == ADDR_PUBLIC && !own) || allow_asks(a, to))
		return 0;
	char text[HOSTPORT_TEXT_MAX];
	err_set(e, ERR_DENIED, "%s leads to %s, %s", want->host, to->host,
		class == ADDR_PUBLIC ? "an address of the host itself" : addr_class_name(class));
	return err_hint(e, "to allow it, name the address itself: --allow %s",
		hostport_format(to, text));
}
