/* SPDX-License-Identifier: ISC */
/* place.json: what is taken, and one sentence for each thing that is wrong. */
#include "place/shim/conf.h"

#include <jansson.h>
#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static const char good[] =
	"{\"version\":1,\"place\":\"k3x9qa\",\"driver\":\"qemu\",\"instances\":[\"abc123\"],\"recordings\":\"/s/r\",\"record_max\":67108864,"
	"\"holder\":{\"argv\":[\"qemu\",\"-x\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\",\"fds\":[{\"fd\":10,\"path\":"
	"\"link.sock\",\"kind\":\"listen\"},{\"fd\":11,\"path\":\"/img\",\"kind\":\"ro\"}],\"uid\":1879048193,\"gid\":5},"
	"\"shim\":{\"uid\":-1,\"gid\":-1},\"link\":\"link.sock\",\"qmp\":\"qmp.sock\",\"egress\":null,"
	"\"files\":{\"program\":\"/f\",\"uid\":1000,\"gid\":1000,\"mounts\":[{\"path\":\"/home/me\",\"read_only\":true}]},"
	"\"boot_timeout_ms\":60000,\"later\":{}}";

START_TEST(all_members_are_taken)
{
	struct conf *c = NULL;
	struct err e = {0};

	ck_assert_msg(conf_parse(good, strlen(good), &c, &e) == 0, "%s", e.message);
	ck_assert_str_eq(c->place, "k3x9qa");
	ck_assert(conf_has_instance(c, "abc123"));
	ck_assert(!conf_has_instance(c, "abc124"));
	ck_assert_str_eq(c->argv[1], "-x");
	ck_assert_uint_eq(c->nfds, 2);
	ck_assert_int_eq(c->fds[0].kind, CONF_FD_LISTEN);
	ck_assert_int_eq(c->fds[1].fd, 11);
	ck_assert_uint_eq(c->holder_uid, 1879048193);
	ck_assert(c->shim_uid == CONF_AS_IS);
	ck_assert_ptr_null(c->egress);
	ck_assert_str_eq(c->qmp, "qmp.sock");
	ck_assert_ptr_nonnull(conf_mount(c, "/home/me"));
	ck_assert(conf_mount(c, "/home/me")->read_only);
	ck_assert_ptr_null(conf_mount(c, "/home"));
	ck_assert_int_eq(c->boot_timeout_ms, 60000);
	conf_free(c);
}
END_TEST

START_TEST(each_wrong_member_is_named)
{
	static const struct {
		const char *path[2], *value, *want;
	} cases[] = {
		{{"version"}, "2", "version 2"},
		{{"place"}, "\"../../x\"", "\"place\""},
		{{"instances"}, "\"abc123\"", "\"instances\""},
		{{"instances"}, "[\"../abc\"]", "\"instances\""},
		{{"recordings"}, "7", "\"recordings\""},
		{{"record_max"}, "-1", "\"record_max\""},
		{{"boot_timeout_ms"}, "\"x\"", "\"boot_timeout_ms\""},
		{{"link"}, "null", "\"link\""},
		{{"holder"}, "null", "\"holder\""},
		{{"holder", "argv"}, "[]", "\"argv\""},
		{{"holder", "argv"}, "[1]", "\"argv\""},
		{{"holder", "env"}, "\"x\"", "\"env\""},
		{{"holder", "uid"}, "-2", "\"uid\""},
		{{"holder", "fds"}, "[{\"fd\":1,\"path\":\"x\",\"kind\":\"ro\"}]", "\"fd\""},
		{{"holder", "fds"}, "[{\"fd\":10,\"path\":\"x\",\"kind\":\"exec\"}]", "\"kind\""},
		{{"files", "mounts"}, "[{\"path\":\"relative\"}]", "\"path\""},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *o = json_loads(good, 0, NULL), *in = o;
		struct conf *c = NULL;
		struct err e = {0};
		char *text;

		if (cases[i].path[1])
			in = json_object_get(o, cases[i].path[0]);
		json_object_set_new(in, cases[i].path[cases[i].path[1] ? 1 : 0],
			json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		text = json_dumps(o, 0);
		ck_assert_int_eq(conf_parse(text, strlen(text), &c, &e), -1);
		ck_assert_msg(strstr(e.message, cases[i].want) != NULL, "%zu: %s", i, e.message);
		ck_assert_ptr_null(c);
		free(text);
		json_decref(o);
	}
}
END_TEST

START_TEST(what_is_no_json_is_refused_at_any_length)
{
	size_t n;

	for (n = 0; n < strlen(good); n++) {
		struct conf *c = NULL;
		struct err e = {0};

		ck_assert_int_eq(conf_parse(good, n, &c, &e), -1);
		ck_assert(e.message[0]);
	}
}
END_TEST

TEST_MAIN("shim/conf", all_members_are_taken, each_wrong_member_is_named, what_is_no_json_is_refused_at_any_length)
