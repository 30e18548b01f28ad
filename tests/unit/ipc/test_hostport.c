/* SPDX-License-Identifier: ISC */
/* One destination has one form, and nothing that means an address in disguise is a name. */
#include "ipc/hostport.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

START_TEST(canonical_forms)
{
	static const char *const pairs[][2] = {
		{"api.anthropic.com:443", "api.anthropic.com:443"},
		{"API.Anthropic.COM.:443", "api.anthropic.com:443"},
		{"localhost:8080", "localhost:8080"},
		{"a_b.x-y.xn--bcher-kva:1", "a_b.x-y.xn--bcher-kva:1"},
		{"1password.com:443", "1password.com:443"},
		{"1.2.3.4.example:80", "1.2.3.4.example:80"},
		{"127.0.0.1:80", "127.0.0.1:80"},
		{"[::1]:80", "[::1]:80"},
		{"[0:0:0:0:0:0:0:1]:80", "[::1]:80"},
		{"[2001:DB8::A]:65535", "[2001:db8::a]:65535"},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80"},
		{"[::ffff:7f00:1]:80", "127.0.0.1:80"},
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct hostport h;
		struct err e = {0};
		char text[HOSTPORT_TEXT_MAX];
		ck_assert_msg(hostport_parse(pairs[i][0], &h, &e) == 0, "%s: %s", pairs[i][0],
			e.message);
		ck_assert_str_eq(hostport_format(&h, text), pairs[i][1]);
		struct hostport again;
		ck_assert_int_eq(hostport_parse(text, &again, &e), 0);
		ck_assert(hostport_equal(&h, &again));
	}
}
END_TEST

START_TEST(what_is_refused)
{
	static const char *const bad[] = {
		"", "a", ":80", "a:", "a:0", "a:65536", "a:-1", "a: 80", "a:80 ", "a:080", "a:+80", "a:80x",
		"::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[fe80::1%eth0]:80", "[1]:80",
		"[127.0.0.1]:80", "a:b:80", "user@a:80", "http://a:80", "a/b:80", "a b:80", "*.a:80", "*:80",
		"a..b:80", ".a:80", "a..:80", ".:80", "-a:80", "a-:80", "a.-b:80", "k\xc3\xb6ln:80", "a\xff:80",
		/* numbers that resolvers read as addresses */
		"127.1:80", "127.0.1:80", "2130706433:80", "0x7f000001:80", "0x7f.1:80", "0x7F.0.0.1:80",
		"0177.0.0.1:80", "010.0.0.1:80", "127.0.0.01:80", "127.0.0.1.:80", "1.2.3.4.5:80",
		"256.0.0.1:80", "127.0.0.0x1:80", "a.1:80", "0x:80", "a.0x:80", "a\t:80", "a\n:80",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct hostport h = {.port = 7};
		struct err e = {0};
		ck_assert_msg(hostport_parse(bad[i], &h, &e) == -1, "%s was taken", bad[i]);
		ck_assert_int_eq(e.code, ERR_PARAMS);
		ck_assert_int_eq(h.port, 7);
	}
}
END_TEST

START_TEST(lengths)
{
	char name[300], text[320];
	struct hostport h;
	/* 63 per label, 253 in all */
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[253] = '\0';
	ck_assert_int_eq(hostport_set(&h, name, 1, NULL), 0);
	snprintf(text, sizeof(text), "%s.:443", name);
	ck_assert_int_eq(hostport_parse(text, &h, NULL), 0);
	name[253] = 'a';
	name[254] = '\0';
	ck_assert_int_eq(hostport_set(&h, name, 1, NULL), -1);
	memset(name, 'a', 64);
	name[64] = '\0';
	ck_assert_int_eq(hostport_set(&h, name, 1, NULL), -1);
	memset(name, ':', 299);
	name[299] = '\0';
	ck_assert_int_eq(hostport_set(&h, name, 1, NULL), -1);
}
END_TEST

START_TEST(hosts_apart_from_ports)
{
	struct hostport h, g;
	ck_assert_int_eq(hostport_set(&h, "::1", 80, NULL), 0);
	ck_assert_int_eq(h.family, AF_INET6);
	ck_assert_int_eq(hostport_set(&g, "[::1]", 80, NULL), 0);
	ck_assert(hostport_equal(&h, &g));
	ck_assert_int_eq(hostport_set(&g, "::1", 81, NULL), 0);
	ck_assert(!hostport_equal(&h, &g));
	ck_assert_int_eq(hostport_set(&g, "a", 0, NULL), -1);
	ck_assert_int_eq(hostport_set(&g, "a", 65536, NULL), -1);
	ck_assert_int_eq(hostport_set(&g, "a", INT64_MIN, NULL), -1);
	ck_assert_int_eq(hostport_set(&g, "", 80, NULL), -1);
	ck_assert_int_eq(hostport_set(&g, "[", 80, NULL), -1);
}
END_TEST

TEST_MAIN("ipc/hostport", canonical_forms, what_is_refused, lengths, hosts_apart_from_ports)
