/* SPDX-License-Identifier: ISC */
/* The allow-list and the classes of addresses. */
#include "place/egress/allow.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/util.h"
#include "place/egress/addr.h"
#include "tests/unit/run.h"

static struct hostport hp(const char *text)
{
	struct hostport h;
	struct err e = {0};
	ck_assert_msg(hostport_parse(text, &h, &e) == 0, "%s", e.message);
	return h;
}

START_TEST(classes)
{
	static const struct {
		const char *addr;
		enum addr_class class;
	} rows[] = {
		{"1.1.1.1", ADDR_PUBLIC}, {"160.79.104.10", ADDR_PUBLIC}, {"9.255.255.255", ADDR_PUBLIC},
		{"11.0.0.0", ADDR_PUBLIC}, {"100.63.255.255", ADDR_PUBLIC}, {"100.128.0.0", ADDR_PUBLIC},
		{"172.15.255.255", ADDR_PUBLIC}, {"172.32.0.0", ADDR_PUBLIC}, {"168.63.129.15", ADDR_PUBLIC},
		{"198.17.255.255", ADDR_PUBLIC}, {"198.20.0.0", ADDR_PUBLIC}, {"223.255.255.255", ADDR_PUBLIC},
		{"0.0.0.0", ADDR_RESERVED}, {"0.1.2.3", ADDR_RESERVED}, {"10.0.0.1", ADDR_PRIVATE},
		{"10.255.255.255", ADDR_PRIVATE}, {"100.64.0.1", ADDR_PRIVATE}, {"100.100.100.200", ADDR_PRIVATE},
		{"127.0.0.1", ADDR_LOOPBACK}, {"127.255.255.255", ADDR_LOOPBACK}, {"168.63.129.16", ADDR_METADATA},
		{"169.254.169.254", ADDR_METADATA}, {"169.254.1.1", ADDR_LINK_LOCAL}, {"172.16.0.1", ADDR_PRIVATE},
		{"172.31.255.255", ADDR_PRIVATE}, {"192.0.0.192", ADDR_RESERVED}, {"192.0.2.1", ADDR_RESERVED},
		{"192.168.1.1", ADDR_PRIVATE}, {"198.18.0.1", ADDR_RESERVED}, {"198.19.255.255", ADDR_RESERVED},
		{"224.0.0.1", ADDR_MULTICAST}, {"239.255.255.255", ADDR_MULTICAST}, {"240.0.0.1", ADDR_RESERVED},
		{"255.255.255.255", ADDR_RESERVED},
		{"2606:4700::1111", ADDR_PUBLIC}, {"2a00::1", ADDR_PUBLIC}, {"3fff:1000::", ADDR_PUBLIC},
		{"::", ADDR_RESERVED}, {"::1", ADDR_LOOPBACK}, {"::2", ADDR_RESERVED}, {"::127.0.0.1", ADDR_RESERVED},
		{"::ffff:127.0.0.1", ADDR_LOOPBACK}, {"::ffff:1.1.1.1", ADDR_PUBLIC},
		{"::ffff:169.254.169.254", ADDR_METADATA}, {"64:ff9b::10.0.0.1", ADDR_PRIVATE},
		{"64:ff9b::1.1.1.1", ADDR_PUBLIC}, {"64:ff9b:1::1", ADDR_RESERVED}, {"100::1", ADDR_RESERVED},
		{"2001::1", ADDR_RESERVED}, {"2001:db8::1", ADDR_RESERVED}, {"2002:7f00:1::", ADDR_RESERVED},
		{"3fff:0::1", ADDR_RESERVED}, {"4000::1", ADDR_RESERVED}, {"fc00::1", ADDR_PRIVATE}, {"fd12::1", ADDR_PRIVATE},
		{"fd00:ec2::254", ADDR_METADATA}, {"fe80::1", ADDR_LINK_LOCAL}, {"febf::1", ADDR_LINK_LOCAL},
		{"fec0::1", ADDR_PRIVATE}, {"ff02::1", ADDR_MULTICAST},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned char a[16];
		int family = strchr(rows[i].addr, ':') ? AF_INET6 : AF_INET;
		ck_assert_int_eq(inet_pton(family, rows[i].addr, a), 1);
		enum addr_class got = addr_classify(family, a);
		ck_assert_msg(got == rows[i].class, "%s is %s", rows[i].addr, addr_class_name(got));
	}
}
END_TEST

START_TEST(socket_addresses_go_both_ways)
{
	const char *texts[] = {"1.2.3.4:80", "[2606:4700::1111]:443"};
	for (size_t i = 0; i < 2; i++) {
		struct hostport h = hp(texts[i]), back;
		struct sockaddr_storage ss;
		ck_assert_uint_gt(addr_from_hostport(&h, &ss), 0);
		ck_assert_int_eq(addr_to_hostport((struct sockaddr *)&ss, &back), 0);
		ck_assert(hostport_equal(&h, &back));
	}
	struct sockaddr_storage un = {.ss_family = AF_UNIX};
	struct hostport h;
	ck_assert_int_eq(addr_to_hostport((struct sockaddr *)&un, &h), -1);
	struct hostport lo = hp("127.0.0.1:9"), other = hp("192.0.2.77:9");
	ck_assert(addr_is_own(&lo));
	ck_assert(!addr_is_own(&other));
}
END_TEST

static bool asks(const struct allow *a, const char *text)
{
	struct hostport h = hp(text);
	return allow_asks(a, &h);
}

START_TEST(exact_host_and_port)
{
	struct allow a;
	allow_init(&a);
	ck_assert(!asks(&a, "a.example:443"));
	ck_assert_int_eq(allow_add(&a, "API.example:443", NULL), 0);
	ck_assert_int_eq(allow_add(&a, "api.example.:443", NULL), 0);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_int_eq(allow_add(&a, "[::1]:80", NULL), 0);
	ck_assert(asks(&a, "api.EXAMPLE:443"));
	ck_assert(asks(&a, "[0::1]:80"));
	ck_assert(!asks(&a, "api.example:80"));
	ck_assert(!asks(&a, "x.api.example:443"));
	ck_assert(!asks(&a, "example:443"));
	ck_assert(!asks(&a, "127.0.0.1:80"));
	ck_assert(!asks(&a, "[::1]:443"));
	allow_finish(&a);
}
END_TEST

START_TEST(lists_are_bounded_and_bad_entries_refused)
{
	struct allow a;
	struct err e = {0};
	allow_init(&a);
	ck_assert_int_eq(allow_add(&a, "*.example:443", &e), -1);
	for (int i = 0; i < ALLOW_MAX; i++) {
		char text[32];
		snprintf(text, sizeof(text), "h%d.example:443", i);
		ck_assert_int_eq(allow_add(&a, text, &e), 0);
	}
	ck_assert_int_eq(allow_add(&a, "one.more:443", &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_int_eq(allow_add(&a, "h0.example:443", &e), 0); /* there already */
	allow_finish(&a);
}
END_TEST

static int leads(const struct allow *a, const char *want, const char *to, bool own, struct err *e)
{
	struct hostport w = hp(want), t = hp(to);
	return allow_leads(a, &w, &t, own, e);
}

START_TEST(names_lead_to_public_addresses_only)
{
	struct allow a;
	struct err e = {0};
	allow_init(&a);
	allow_add(&a, "name.example:80", NULL);
	ck_assert_int_eq(leads(&a, "name.example:80", "1.1.1.1:80", false, &e), 0);
	const char *not[] = {"127.0.0.1:80", "10.0.0.1:80", "169.254.169.254:80", "[::1]:80", "[fd00::1]:80",
		"[fe80::1]:80", "0.0.0.0:80", "224.0.0.1:80", "[64:ff9b::7f00:1]:80"};
	for (size_t i = 0; i < ARRAY_LEN(not); i++) {
		ck_assert_msg(leads(&a, "name.example:80", not[i], false, &e) == -1, "%s", not[i]);
		ck_assert_int_eq(e.code, ERR_DENIED);
		ck_assert_ptr_nonnull(strstr(e.hint, not[i]));
	}
	/* One of the host's own, though public */
	ck_assert_int_eq(leads(&a, "name.example:80", "1.1.1.1:80", true, &e), -1);
	/* Named literally, with this port */
	allow_add(&a, "127.0.0.1:80", NULL);
	allow_add(&a, "10.0.0.1:81", NULL);
	ck_assert_int_eq(leads(&a, "name.example:80", "127.0.0.1:80", true, &e), 0);
	ck_assert_int_eq(leads(&a, "127.0.0.1:80", "127.0.0.1:80", true, &e), 0);
	ck_assert_int_eq(leads(&a, "name.example:80", "10.0.0.1:80", false, &e), -1);
	allow_finish(&a);
}
END_TEST

TEST_MAIN("egress/allow", classes, socket_addresses_go_both_ways, exact_host_and_port,
	lists_are_bounded_and_bad_entries_refused, names_lead_to_public_addresses_only)
