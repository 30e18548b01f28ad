/* SPDX-License-Identifier: ISC */
/* The permission rows: every method of the table, to everybody an instance could name. */
#include "daemon/api/api_int.h"
#include "daemon/model/label.h"
#include "tests/unit/run.h"

/*
 *   root ─ parent ─ caller ─ child ─ grandkid
 *        └ uncle   └ sibling
 *   strange
 */
static const struct {
	const char *id, *parent, *name;
	bool self, below;
} tree[] = {
	{"root00", "", "root", false, false},
	{"parent", "root00", "boss", false, false},
	{"uncle0", "root00", "uncle", false, false},
	{"caller", "parent", "me", true, false},
	{"siblin", "parent", "sibling", false, false},
	{"child0", "caller", "kid", false, true},
	{"grandk", "child0", "grandkid", false, true},
	{"strang", "", "stranger", false, false},
};

static const struct core_port port;
static const struct core_settings settings;
static struct world w;

static void setup(void)
{
	w.fleet = fleet_create(&port, &settings);
	for (size_t i = 0; i < ARRAY_LEN(tree); i++) {
		struct instance *in = instance_new();
		memcpy(in->id, tree[i].id, ID_SIZE);
		str_fmt(in->parent, ID_SIZE, "%s", tree[i].parent);
		in->name = xstrdup(tree[i].name);
		in->state = ST_IDLE;
		fleet_load_instance(w.fleet, in);
	}
}

static void teardown(void)
{
	fleet_destroy(w.fleet);
}

/* The verdict on a call of `m` by `who` (NULL: the operator) that names `ref` in `arg`. */
static int verdict(const struct method_def *m, const char *who, const struct arg_def *arg, const char *ref,
	struct access *a, struct err *e)
{
	struct call c = {.w = &w, .method = m, .who = {.instance = who}};
	int r;

	memset(a, 0, sizeof(*a));
	memset(e, 0, sizeof(*e));
	c.params = arg->type == ARG_STRINGS ? json_pack("{s:[s]}", arg->name, ref) : json_pack("{s:s}", arg->name, ref);
	r = access_method(&c, a, e) < 0 || access_check(&c, a, e) < 0 ? -1 : 0;
	json_decref(c.params);
	return r;
}

static bool names_instances(const struct arg_def *a)
{
	return !strcmp(a->name, "id") || !strcmp(a->name, "ids") || !strcmp(a->name, "parent") ||
	       (a->metavar && (!strcmp(a->metavar, "ID") || !strcmp(a->metavar, "ID...")));
}

/* It names an instance's prompt, or a schedule: the handler asks access_may for whose it is (api/prompts.c, schedules.c). */
static bool names_what_is_ones(const struct method_def *m)
{
	for (const struct arg_def *a = m->args; a->name; a++)
		if ((!strcmp(a->name, "key") || str_starts(a->name, "schedule")) && (a->flags & A_POS))
			return true;
	return false;
}

START_TEST(who_names_an_instance_is_marked_and_has_a_row)
{
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		bool marked = false;

		for (const struct arg_def *a = m->args; a->name; a++) {
			ck_assert_msg(!names_instances(a) || (a->flags & A_INST), "%s: '%s' wants A_INST", m->name, a->name);
			ck_assert_msg(!(a->flags & A_INST) || a->type == ARG_STRING || a->type == ARG_STRINGS,
				"%s: '%s' cannot name an instance", m->name, a->name);
			marked |= (a->flags & A_INST) != 0;
		}
		if ((m->who & P_INSTANCE) && !names_what_is_ones(m))
			ck_assert_msg(marked == !(m->who & W_NOBODY), "%s: whom may an instance do it to?", m->name);
	}
}
END_TEST

START_TEST(what_is_nobodys_business_is_marked)
{
	static const char *const secret[] = {"env", "prompt", "text", "data", "keys", "body"};

	for (size_t i = 0; i < METHOD_COUNT; i++)
		for (const struct arg_def *a = method_table[i].args; a->name; a++)
			for (size_t k = 0; k < ARRAY_LEN(secret); k++)
				ck_assert_msg(strcmp(a->name, secret[k]) || (a->flags & (A_SECRET | A_CLI)),
					"%s: '%s' wants A_SECRET", method_table[i].name, a->name);
}
END_TEST

START_TEST(an_instance_reaches_whom_the_row_says)
{
	struct access a;
	struct err e;

	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		for (const struct arg_def *arg = m->args; arg->name; arg++) {
			if (!(arg->flags & A_INST))
				continue;
			for (size_t k = 0; k < ARRAY_LEN(tree); k++) {
				bool seen = arg->flags & A_SEEN;
				bool may = (m->who & P_INSTANCE) &&
					   ((tree[k].self && (seen || (m->who & W_SELF))) ||
						   (tree[k].below && (seen || (m->who & W_BELOW))));
				ck_assert_msg((verdict(m, "caller", arg, tree[k].id, &a, &e) == 0) == may, "%s %s by its id",
					m->name, tree[k].name);
				ck_assert_msg((verdict(m, "caller", arg, tree[k].name, &a, &e) == 0) == may, "%s %s by name",
					m->name, tree[k].name);
				if (may)
					ck_assert_str_eq(a.targets[0], tree[k].id);
				else
					ck_assert_msg(a.why && e.code, "%s %s: no reason", m->name, tree[k].name);
				if (!may && (m->who & P_INSTANCE))
					ck_assert_str_eq(a.target, tree[k].id); /* the audit knows */
				if (m->who & P_OPERATOR)
					ck_assert_int_eq(verdict(m, NULL, arg, tree[k].id, &a, &e), 0);
			}
		}
	}
}
END_TEST

/* Without what is quoted: the words that differ by what was asked alone. */
static void same_words(const struct err *x, const char *xref, const struct err *y, const char *yref)
{
	cleanup_free char *a = xstrdup(x->message), *b = xstrdup(y->message);
	char *at = strstr(a, xref), *bt = strstr(b, yref);

	ck_assert_int_eq(x->code, y->code);
	ck_assert_str_eq(x->hint, y->hint);
	if (at && bt) {
		ck_assert_str_eq(at + strlen(xref), bt + strlen(yref));
		*at = *bt = 0;
	}
	ck_assert_str_eq(a, b);
}

START_TEST(what_is_hidden_looks_like_what_is_not)
{
	static const char *const hidden[] = {"root00", "parent", "siblin", "strang", "boss", "stranger", "strange", "sib"};
	struct access a, b;
	struct err e, none;

	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		for (const struct arg_def *arg = m->args; arg->name; arg++) {
			if (!(arg->flags & A_INST) || !(m->who & P_INSTANCE))
				continue;
			ck_assert_int_eq(verdict(m, "caller", arg, "nobody", &b, &none), -1);
			for (size_t k = 0; k < ARRAY_LEN(hidden); k++) {
				ck_assert_int_eq(verdict(m, "caller", arg, hidden[k], &a, &e), -1);
				same_words(&e, hidden[k], &none, "nobody");
				ck_assert(a.target[0] != 0); /* but the audit is told whom it meant */
			}
			ck_assert_str_eq(b.target, "");
		}
	}
}
END_TEST

START_TEST(a_forged_parent_is_refused)
{
	const struct method_def *m = method_find("spawn");
	const struct arg_def *parent = method_arg(m, "parent");
	struct access a;
	struct err e;

	ck_assert_int_eq(verdict(m, "caller", parent, "caller", &a, &e), 0);
	ck_assert_int_eq(verdict(m, "caller", parent, "strang", &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	ck_assert_str_eq(a.why, "forged_parent");
	ck_assert_str_eq(a.target, "strang");
	ck_assert_int_eq(verdict(m, "caller", parent, "child0", &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	ck_assert_int_eq(verdict(m, NULL, parent, "strang", &a, &e), 0);
}
END_TEST

START_TEST(one_among_many_is_enough)
{
	struct call c = {.w = &w, .method = method_find("kill"), .who = {.instance = "caller"}};
	struct access a = {0};
	struct err e = {0};

	c.params = json_pack("{s:[s,s,s]}", "ids", "child0", "grandk", "siblin");
	ck_assert_int_eq(access_check(&c, &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_str_eq(a.target, "siblin");
	json_decref(c.params);
}
END_TEST

START_TEST(an_instance_names_only_so_many_at_once)
{
	struct call c = {.w = &w, .method = method_find("kill"), .who = {.instance = "caller"}};
	json_t *ids = json_array();
	struct access a = {0};
	struct err e = {0};

	for (int i = 0; i < ACCESS_NAMES_MAX; i++)
		json_array_append_new(ids, json_string("kid"));
	c.params = json_pack("{s:o}", "ids", ids);
	ck_assert_int_eq(access_check(&c, &a, &e), 0);
	json_array_append_new(ids, json_string("kid"));
	ck_assert_int_eq(access_check(&c, &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	c.who.instance = NULL;
	ck_assert_int_eq(access_check(&c, &a, &e), 0);
	json_decref(c.params);
}
END_TEST

START_TEST(a_selector_has_only_so_many_terms)
{
	struct call c = {.w = &w, .method = method_find("list")};
	json_t *terms = json_array();
	struct selector s;
	struct err e = {0};

	for (int i = 0; i < LABELS_MAX; i++)
		json_array_append_new(terms, json_string("team"));
	c.params = json_pack("{s:o}", "label", terms);
	ck_assert_int_eq(selector_read(&c, &s, &e), 0);
	json_array_append_new(terms, json_string("team"));
	ck_assert_int_eq(selector_read(&c, &s, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	json_decref(c.params);
}
END_TEST

START_TEST(labels_change_only_so_many_at_once)
{
	json_t *none = json_object(), *changes = json_array(), *got;
	struct err e = {0};

	for (int i = 0; i < LABEL_CHANGES_MAX; i++)
		json_array_append_new(changes, json_string(i % 2 ? "team=web" : "team-"));
	got = labels_changed(none, changes, &e);
	ck_assert_uint_eq(json_object_size(got), 1);
	json_decref(got);
	json_array_append_new(changes, json_string("team=web"));
	ck_assert_ptr_null(labels_changed(none, changes, &e));
	ck_assert_int_eq(e.code, ERR_PARAMS);
	json_decref(changes);
	json_decref(none);
}
END_TEST

START_TEST(a_selector_chooses_by_the_row)
{
	struct call c = {.w = &w, .who = {.instance = "caller"}};

	for (size_t i = 0; i < ARRAY_LEN(tree); i++) {
		const struct instance *in = fleet_get(w.fleet, tree[i].id);
		c.method = method_find("kill");
		ck_assert_int_eq(access_may(&c, in), tree[i].below);
		c.method = method_find("list");
		ck_assert_int_eq(access_may(&c, in), tree[i].below || tree[i].self);
	}
}
END_TEST

static const char *whom(unsigned who)
{
	switch (who & (W_SELF | W_BELOW)) {
	case W_SELF:
		return "itself";
	case W_BELOW:
		return "its descendants";
	case W_SELF | W_BELOW:
		return "itself and its descendants";
	}
	return who & P_INSTANCE ? "yes" : "no";
}

/* The table of docs/identity.md says what the rows say, neither more nor less. */
START_TEST(the_page_says_what_the_table_says)
{
	const char *src = getenv("TC_SRCDIR");
	cleanup_free char *path = xasprintf("%s/docs/identity.md", src ? src : "."), *page = NULL;
	struct buf want;
	struct err e = {0};
	size_t len;
	char *at;

	ck_assert_msg(file_read(path, 1 << 20, &page, &len, &e) == 0, "%s", e.message);
	buf_init(&want, 1 << 20);
	buf_printf(&want, "| method | the operator | an instance |\n|---|---|---|\n");
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		if (!(m->flags & M_LOCAL))
			buf_printf(&want, "| `%s` | %s | %s |\n", m->name, m->who & P_OPERATOR ? "yes" : "no", whom(m->who));
	}
	buf_printf(&want, "\n");
	at = strstr(page, "| method |");
	ck_assert_ptr_nonnull(at);
	ck_assert_msg(!strncmp(at, (const char *)buf_data(&want), want.len), "docs/identity.md wants this table:\n%.*s",
		(int)want.len, (const char *)buf_data(&want));
	buf_finish(&want);
}
END_TEST

TEST_MAIN_FIXTURE("api/access", setup, teardown, who_names_an_instance_is_marked_and_has_a_row,
	what_is_nobodys_business_is_marked, an_instance_reaches_whom_the_row_says, what_is_hidden_looks_like_what_is_not,
	a_forged_parent_is_refused, one_among_many_is_enough, an_instance_names_only_so_many_at_once,
	a_selector_has_only_so_many_terms, labels_change_only_so_many_at_once, a_selector_chooses_by_the_row, the_page_says_what_the_table_says)
