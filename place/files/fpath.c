/* SPDX-License-Identifier: ISC */
/* Taking paths apart. */
#include "place/files/fpath.h"

#include <string.h>

#include "base/util.h"

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ERR_PARAMS, "the path is not acceptable: %s", why);
}

/* Adds one component of len bytes; used is how much of mem is taken. */
static int add(struct fpath *p, const char *s, size_t len, struct err *e)
{
	if (len > FPATH_COMPONENT_MAX)
		return refuse(e, "a name is longer than 255 bytes");
	if (p->n == FPATH_COMPONENTS_MAX)
		return refuse(e, "it is deeper than 256 folders");
	char *at = p->n ? (char *)p->comp[p->n - 1] + strlen(p->comp[p->n - 1]) + 1 : p->mem;
	memcpy(at, s, len);
	at[len] = '\0';
	p->comp[p->n++] = at;
	return 0;
}

int fpath_parse(struct fpath *ret, const void *data, size_t len, struct err *e)
{
	const char *s = data;
	ret->n = 0;
	ret->text[0] = '\0';
	if (len > FPATH_MAX)
		return refuse(e, "it is longer than 4095 bytes");
	if (len > 0 && memchr(s, '\0', len))
		return refuse(e, "it holds a NUL byte");
	for (size_t i = 0; i < len;) {
		const char *slash = memchr(s + i, '/', len - i);
		size_t n = slash ? (size_t)(slash - (s + i)) : len - i;
		if (n == 2 && memcmp(s + i, "..", 2) == 0)
			return refuse(e, "it holds ..");
		if (n > 0 && !(n == 1 && s[i] == '.') && add(ret, s + i, n, e) < 0)
			return -1;
		i += n + 1;
	}
	fpath_prefix(ret, ret->n, ret->text);
	return 0;
}

void fpath_prefix(const struct fpath *p, size_t n, char *out)
{
	char *o = out;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(p->comp[i]);
		if (i > 0)
			*o++ = '/';
		memcpy(o, p->comp[i], len);
		o += len;
	}
	*o = '\0';
}

int fpath_join(const struct fpath *p, size_t n, const char *link, const char *root,
	struct fpath *ret)
{
	ret->n = 0;
	ret->text[0] = '\0';
	if (link[0] == '/') {
		size_t len = strlen(root);
		while (len > 0 && root[len - 1] == '/')
			len--;
		if (strncmp(link, root, len) != 0 || link[len] != '/')
			return -1;
		link += len;
	} else {
		for (size_t i = 0; i < n; i++)
			if (add(ret, p->comp[i], strlen(p->comp[i]), NULL) < 0)
				return -1;
	}
	size_t total = 0;
	for (const char *s = link; *s;) {
		size_t len = strcspn(s, "/");
		if (len == 2 && s[0] == '.' && s[1] == '.') {
			if (ret->n == 0)
				return -1;
			ret->n--;
		} else if (len > 0 && !(len == 1 && s[0] == '.')) {
			for (size_t i = total = 0; i < ret->n; i++)
				total += strlen(ret->comp[i]) + 1;
			if (total + len > FPATH_MAX || add(ret, s, len, NULL) < 0)
				return -1;
		}
		s += len + (s[len] == '/');
	}
	fpath_prefix(ret, ret->n, ret->text);
	return 0;
}
