/* SPDX-License-Identifier: ISC */
/* The command line by the table: every row parses and has help; what is wrong is named. */
#include "cli/args.h"

#include <string.h>

#include "base/util.h"
#include "cli/help.h"
#include "tests/unit/run.h"

#define ARGV(...) ((char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static struct args parsed;
static struct globals g;

static json_t *parse(const char *method, char *const *argv)
{
	struct err e = {0};

	g = (struct globals){0};
	ck_assert_msg(args_parse(method_find(method), argv, &g, &parsed, &e) == 0, "%s: %s", method,
		e.message);
	return parsed.params;
}

static void refused(const char *method, char *const *argv, const char *says, const char *hints)
{
	struct err e = {0};
	struct args a = {0};

	g = (struct globals){0};
	ck_assert_msg(args_parse(method_find(method), argv, &g, &a, &e) == -1, "%s was accepted (%s)",
		method, says);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	ck_assert_msg(strstr(e.message, says), "\"%s\" does not say \"%s\"", e.message, says);
	ck_assert_msg(strstr(e.hint, hints), "\"%s\" does not hint \"%s\"", e.hint, hints);
	ck_assert_ptr_null(a.params);
}

static const char *str(const char *key)
{
	return json_string_value(json_object_get(parsed.params, key));
}

static json_int_t num(const char *key)
{
	return json_integer_value(json_object_get(parsed.params, key));
}

/* A value that any argument of that type takes. */
static const char *sample(const struct arg_def *a)
{
	switch (a->type) {
	case ARG_STRING:
	case ARG_STRINGS:
	case ARG_WORDS:
	case ARG_LABELS:
	case ARG_ARGV:
		return "word";
	case ARG_PATH:
		return "/p";
	case ARG_INT:
		return "7";
	case ARG_COUNT:
		return "unlimited";
	case ARG_RATE:
		return "5/minute";
	case ARG_USD:
		return "2.50";
	case ARG_TOKENS:
		return "2M";
	case ARG_SPAN:
		return "90m";
	case ARG_SECONDS:
		return "1.5";
	case ARG_MIB:
		return "4096";
	case ARG_CHANGES:
		return "k-";
	case ARG_COUNTS:
		return "k=5";
	case ARG_KV:
		return "k=v";
	case ARG_BOOL:
	case ARG_JSON:
		break;
	}
	return NULL;
}

static void push_required(const struct method_def *m, char ***argv)
{
	for (const struct arg_def *a = m->args; a->name; a++) {
		if (!(a->flags & (A_REQUIRED | A_OR_SELECT)) || (a->flags & A_API) || a->type == ARG_ARGV)
			continue;
		cleanup_free char *option = option_words(a);
		if (!(a->flags & A_POS))
			strv_push(argv, option);
		strv_push(argv, sample(a));
	}
}

START_TEST(every_row_takes_each_of_its_options)
{
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		if (m->flags & M_API)
			continue;
		for (const struct arg_def *a = m->args; a->name; a++) {
			cleanup_strv char **argv = strv_new();
			cleanup_free char *option = option_words(a);
			push_required(m, &argv);
			if (a->flags & A_API) {
				strv_push(&argv, option);
				refused(m->name, argv, option, "");
				continue;
			}
			if (!(a->flags & (A_POS | A_REQUIRED))) {
				strv_push(&argv, option);
				if (a->type != ARG_BOOL)
					strv_push(&argv, sample(a));
			}
			const struct arg_def *rest = method_arg(m, "argv");
			if (rest) {
				strv_push(&argv, "--");
				strv_push(&argv, "word");
			}
			parse(m->name, argv);
			json_t *home = a->flags & A_CLI ? parsed.local : parsed.params;
			if (!(a->flags & A_POS) || (a->flags & A_REQUIRED))
				ck_assert_msg(json_object_get(home, a->name), "%s %s", m->name, a->name);
			if (m->flags & M_LOCAL) {
				args_finish(&parsed);
				continue;
			}
			/* What is sent passes the daemon's own check. */
			struct err e = {0};
			json_t *checked = NULL;
			ck_assert_msg(schema_check(m, parsed.params, &checked, &e) == 0, "%s: %s", m->name,
				e.message);
			json_decref(checked);
			args_finish(&parsed);
		}
	}
}
END_TEST

START_TEST(every_row_has_help_in_exactly_one_group)
{
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		char *text;
		size_t len;
		ck_assert_msg((help_group(m->id) != NULL) == !(m->flags & M_API), "%s", m->name);
		if (m->flags & M_API)
			continue;
		FILE *f = open_memstream(&text, &len);
		help_verb(f, m, 80);
		fclose(f);
		ck_assert(str_starts(text, "usage: tmux-claude "));
		ck_assert_msg(strstr(text, "\nExamples:\n  "), "%s has no example", m->name);
		for (const struct arg_def *a = m->args; a->name; a++) {
			cleanup_free char *option = option_words(a);
			if (a->flags & A_API)
				ck_assert_ptr_null(strstr(text, option));
			else
				ck_assert_msg(strstr(text, a->flags & A_POS ? a->metavar : option), "%s %s",
					m->name, a->name);
		}
		for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
			if (!strstr(line, "Examples:") || strstr(line, "Examples:") > strchr(line, '\n'))
				ck_assert_msg(strcspn(line, "\n") <= 100, "%s: %.*s", m->name,
					(int)strcspn(line, "\n"), line);
		free(text);
	}
	char *top;
	size_t len;
	FILE *f = open_memstream(&top, &len);
	help_top(f, 0);
	fclose(f);
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		cleanup_free char *verb = verb_words(&method_table[i]);
		cleanup_free char *entry = xasprintf("\n  %s ", verb);
		ck_assert_int_eq(strstr(top, entry) != NULL, !(method_table[i].flags & M_API));
	}
	free(top);
}
END_TEST

START_TEST(options_and_positionals_mix)
{
	parse("spawn", ARGV("--driver", "host", "fixer", "--agent=shell", "--label", "a=1", "-l", "b=2=3",
			       "-lc=", "--max-children", "unlimited", "--max-depth=0", "--spawn-rate",
			       "5/minute", "--rm", "--", "sh", "-c", "--", "x"));
	ck_assert_str_eq(str("name"), "fixer");
	ck_assert_str_eq(str("driver"), "host");
	ck_assert_str_eq(str("agent"), "shell");
	ck_assert_str_eq(str("max_children"), "unlimited");
	ck_assert_int_eq(num("max_depth"), 0);
	ck_assert_str_eq(str("spawn_rate"), "5/minute");
	json_t *labels = json_object_get(parsed.params, "label");
	ck_assert_uint_eq(json_object_size(labels), 3);
	ck_assert_str_eq(json_string_value(json_object_get(labels, "b")), "2=3");
	ck_assert_str_eq(json_string_value(json_object_get(labels, "c")), "");
	json_t *argv = json_object_get(parsed.params, "argv");
	ck_assert_uint_eq(json_array_size(argv), 4);
	ck_assert_str_eq(json_string_value(json_array_get(argv, 2)), "--");
	ck_assert(json_is_true(json_object_get(parsed.params, "rm")));
	args_finish(&parsed);
}
END_TEST

START_TEST(globals_stand_anywhere_but_behind_two_dashes)
{
	parse("list", ARGV("--json", "--tree", "-a", "--socket", "/s", "--no-start"));
	ck_assert(g.json && g.no_start);
	ck_assert_str_eq(g.socket, "/s");
	ck_assert(args_flag(&parsed, "tree"));
	ck_assert_ptr_null(json_object_get(parsed.params, "tree"));
	args_finish(&parsed);
	parse("spawn", ARGV("--prompt", "--json", "--", "--socket", "--help"));
	ck_assert(!g.json && !g.socket && !g.help);
	ck_assert_str_eq(str("prompt"), "--json");
	args_finish(&parsed);
	/* Asked for help, nothing else is. */
	parse("send", ARGV("--help"));
	ck_assert(g.help);
	args_finish(&parsed);
}
END_TEST

START_TEST(a_text_may_begin_with_a_dash_behind_two)
{
	parse("send", ARGV("fixer", "--", "--help"));
	ck_assert_str_eq(str("text"), "--help");
	args_finish(&parsed);
	parse("send", ARGV("fixer", "-"));
	ck_assert_str_eq(str("text"), "-");
	args_finish(&parsed);
}
END_TEST

START_TEST(short_switches_combine)
{
	parse("exec", ARGV("-te", "A=1", "x", "--", "env"));
	ck_assert(json_is_true(json_object_get(parsed.params, "tty")));
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(parsed.params, "env"), "A")), "1");
	args_finish(&parsed);
	parse("read", ARGV("-fn20", "x"));
	ck_assert_int_eq(num("lines"), 20);
	ck_assert(args_flag(&parsed, "follow"));
	args_finish(&parsed);
}
END_TEST

START_TEST(paths_become_absolute)
{
	cleanup_free char *cwd = getcwd(NULL, 0);
	cleanup_free char *below = xasprintf("%s/a/b", cwd);
	parse("spawn", ARGV("--dir", "."));
	ck_assert_str_eq(str("dir"), cwd);
	args_finish(&parsed);
	parse("spawn", ARGV("--dir", ".//./a/b"));
	ck_assert_str_eq(str("dir"), below);
	args_finish(&parsed);
	parse("spawn", ARGV("--dir", "/x"));
	ck_assert_str_eq(str("dir"), "/x");
	args_finish(&parsed);
	refused("spawn", ARGV("--dir", ""), "--dir must be a path", "");
}
END_TEST

START_TEST(many_ids)
{
	parse("kill", ARGV("a", "--force", "b", "--", "-c"));
	ck_assert_uint_eq(json_array_size(json_object_get(parsed.params, "ids")), 3);
	args_finish(&parsed);
	refused("kill", ARGV("--force"), "kill needs ID...", "kill ID...");
}
END_TEST

START_TEST(what_cannot_be_parsed_is_named)
{
	refused("spawn", ARGV("--max-children", "many"), "--max-children must be a whole number", "");
	refused("spawn", ARGV("--max-children", "-1"), "--max-children", "");
	refused("spawn", ARGV("--max-children=1000001"), "--max-children", "");
	refused("spawn", ARGV("--spawn-rate", "5"), "--spawn-rate must be N/minute", "");
	refused("spawn", ARGV("--cpus", "1.5"), "--cpus must be a whole number", "");
	refused("spawn", ARGV("--cpus", ""), "--cpus", "");
	refused("spawn", ARGV("--cpus"), "--cpus needs a value", "");
	refused("spawn", ARGV("--cpus", "1", "--cpus", "2"), "--cpus is given twice", "");
	refused("spawn", ARGV("--label", "x"), "--label must be K=V", "");
	refused("spawn", ARGV("--label", "=x"), "--label must be K=V", "");
	refused("spawn", ARGV("--label", "a=1", "-l", "a=2"), "second time", "");
	refused("spawn", ARGV("--label", "\xff=1"), "UTF-8", "");
	refused("spawn", ARGV("--prompt", "\xff"), "UTF-8", "");
	refused("spawn", ARGV("--rm=yes"), "--rm takes no value", "");
	refused("wait", ARGV("a", "--until", "idle", "--timeout", "-1"), "--timeout must be", "");
	refused("wait", ARGV("a", "--until", "idle", "--timeout", "1e3"), "--timeout must be", "");
	refused("wait", ARGV("a", "--until", "idle", "--timeout", "inf"), "--timeout must be", "");
	refused("wait", ARGV("a", "--until", "idle", "--timeout", "."), "--timeout must be", "");
	refused("wait", ARGV("a"), "wait needs --until", "--until WHAT");
	refused("spawn", ARGV("--max-depth", "\033[31m"), "\\x1b[31m", "");
}
END_TEST

START_TEST(typos_get_a_suggestion)
{
	refused("spawn", ARGV("--lable", "a=1"), "spawn has no option '--lable'", "--label");
	refused("spawn", ARGV("--max-childs=3"), "'--max-childs'", "--max-children");
	refused("list", ARGV("--jsn"), "'--jsn'", "--json");
	refused("list", ARGV("-x"), "'-x'", "list --help");
	refused("template.build", ARGV("minimal", "--recipie", "x"), "template build has no option", "--recipe");
	refused("rename", ARGV("fixer"), "rename needs NAME", "rename ID NAME");
	refused("send", ARGV("fixer", "now", "the", "docs"), "no use for 'the'", "quotes");
	refused("exec", ARGV("fixer", "ls"), "no use for 'ls'", "-- ARGV...");
	refused("exec", ARGV("fixer", "--"), "exec needs ARGV", "");
}
END_TEST

static void no_verb(char *const *argv, const char *says, const char *hints)
{
	struct err e = {0};
	int words;

	ck_assert_ptr_null(verb_find(argv, &words, &e));
	ck_assert_msg(strstr(e.message, says), "%s", e.message);
	ck_assert_msg(strstr(e.hint, hints), "%s", e.hint);
}

START_TEST(verbs_are_found_by_their_words)
{
	struct err e = {0};
	int words = 0;

	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		cleanup_free char *verb = verb_words(m);
		char *space = strchr(verb, ' ');
		if (space)
			*space = '\0';
		char *const argv[] = {verb, space ? space + 1 : NULL, NULL};
		const struct method_def *found = verb_find(argv, &words, &e);
		ck_assert_ptr_eq(found, m->flags & M_API ? NULL : m);
		if (found)
			ck_assert_int_eq(words, space ? 2 : 1);
	}
	no_verb(ARGV("spwan"), "'spwan'", "spawn");
	no_verb(ARGV("ls"), "'ls'", "--help");
	no_verb(ARGV("template"), "needs a second word", "build, list, remove");
	no_verb(ARGV("template", "--json"), "needs a second word", "build");
	no_verb(ARGV("template", "biuld"), "'template biuld'", "template build");
	no_verb(ARGV("config.show"), "'config.show'", "config show");
	no_verb(ARGV("subscribe"), "'subscribe'", "");
	no_verb(ARGV(""), "''", "");
	no_verb(ARGV("a\033]0;x\a"), "\\x1b", "");
}
END_TEST

static void give_stdin(const char *data, size_t len, struct err *e, int expect)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	pid_t pid = fork();
	if (pid == 0) {
		write_all(p[1], data, len);
		_exit(0);
	}
	close(p[1]);
	ck_assert_int_eq(args_read_stdin(&parsed, p[0], 4096, e), expect);
	close(p[0]);
}

START_TEST(a_dash_reads_standard_input)
{
	struct err e = {0};
	char big[5000];

	parse("send", ARGV("x", "-"));
	give_stdin("two\nl\xc3\xadnes\n", 11, &e, 0);
	ck_assert_str_eq(str("text"), "two\nl\xc3\xadnes");
	args_finish(&parsed);
	parse("send", ARGV("x", "-"));
	memset(big, 'x', sizeof(big));
	give_stdin(big, sizeof(big), &e, -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert(e.hint[0]);
	give_stdin("a\0b", 3, &e, -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	give_stdin("\xff", 1, &e, -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	args_finish(&parsed);
	/* An id of that name is an id. */
	parse("send", ARGV("-", "text"));
	give_stdin("", 0, &e, 0);
	ck_assert_str_eq(str("id"), "-");
	ck_assert_str_eq(str("text"), "text");
	args_finish(&parsed);
}
END_TEST

START_TEST(changes_of_labels_are_told_from_names)
{
	parse("label", ARGV("one", "a=b", "two", "c-", "--", "d=e-"));
	cleanup_free char *ids = json_dumps(json_object_get(parsed.params, "ids"), JSON_COMPACT);
	cleanup_free char *changes = json_dumps(json_object_get(parsed.params, "changes"), JSON_COMPACT);
	ck_assert_str_eq(ids, "[\"one\",\"two\"]");
	ck_assert_str_eq(changes, "[\"a=b\",\"c-\",\"d=e-\"]");
	args_finish(&parsed);
}
END_TEST

TEST_MAIN("cli/args", every_row_takes_each_of_its_options, every_row_has_help_in_exactly_one_group,
	options_and_positionals_mix, globals_stand_anywhere_but_behind_two_dashes,
	a_text_may_begin_with_a_dash_behind_two, short_switches_combine, paths_become_absolute, many_ids,
	what_cannot_be_parsed_is_named, typos_get_a_suggestion, verbs_are_found_by_their_words,
	a_dash_reads_standard_input, changes_of_labels_are_told_from_names)
