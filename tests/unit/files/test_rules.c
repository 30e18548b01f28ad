/* SPDX-License-Identifier: ISC */
/* Which names may be changed how. */
#include "place/files/rules.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct facts none;

static enum verdict judge(const char *path, enum act act, const struct facts *f)
{
	static struct fpath p;
	const char *why = NULL;
	ck_assert_int_eq(fpath_parse(&p, path, strlen(path), NULL), 0);
	enum verdict v = rules_judge(&p, act, f, &why);
	ck_assert_ptr_nonnull(why);
	ck_assert((v == V_REFUSE) == (*why != '\0'));
	return v;
}

#define LETS(path, act) ck_assert_msg(judge(path, act, &none) == V_LET, "%s", path)
#define REFUSES(path, act) ck_assert_msg(judge(path, act, &none) == V_REFUSE, "%s", path)
#define IS(path, act, v) ck_assert_msg(judge(path, act, &none) == (v), "%s", path)

static const enum act all[] = {ACT_WRITE, ACT_TRUNCATE, ACT_ATTR, ACT_MKDIR, ACT_RMDIR, ACT_REMOVE,
	ACT_RENAME_FROM, ACT_RENAME_TO, ACT_SYMLINK, ACT_LINK_FROM, ACT_LINK_TO};

START_TEST(ordinary_files_are_free)
{
	static const char *const free[] = {"a", "src/main.c", ".gitignore", ".gitmodules", ".gitattributes", ".github/x",
		"config", "hooks/pre-commit", "HEAD.txt", "head", "x/git/config", "a.git/config", ".gitx/config",
		".husky/pre-commit", "refs/heads/x", "objects/y", "commondir"};
	for (size_t i = 0; i < ARRAY_LEN(free); i++)
		for (size_t k = 0; k < ARRAY_LEN(all); k++)
			LETS(free[i], all[k]);
}
END_TEST

START_TEST(the_folder_itself_stays)
{
	for (size_t k = 0; k < ARRAY_LEN(all); k++)
		ck_assert((judge("/", all[k], &none) == V_LET) == (all[k] == ACT_ATTR));
}
END_TEST

START_TEST(dotgit_is_made_as_a_folder_or_a_checked_file)
{
	static const char *const names[] = {".git", "a/b/.git", ".GIT", "a/.GiT", ".git.", "x/.Git ", "GIT~1"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		LETS(names[i], ACT_MKDIR);
		LETS(names[i], ACT_REMOVE);
		LETS(names[i], ACT_RMDIR);
		IS(names[i], ACT_WRITE, V_GITFILE);
		IS(names[i], ACT_TRUNCATE, V_GITFILE);
		REFUSES(names[i], ACT_RENAME_FROM);
		REFUSES(names[i], ACT_RENAME_TO);
		REFUSES(names[i], ACT_SYMLINK);
		REFUSES(names[i], ACT_LINK_FROM);
		REFUSES(names[i], ACT_LINK_TO);
	}
}
END_TEST

START_TEST(what_git_needs_inside_is_free)
{
	static const char *const names[] = {"index", "index.lock", "HEAD", "HEAD.lock", "COMMIT_EDITMSG", "packed-refs",
		"config.lock", "refs/heads/main", "refs/heads/hooks/x", "refs/heads/feature/hooks", "logs/HEAD",
		"logs/refs/heads/hooks/x", "objects/ab/cdef", "objects/pack/tmp_pack_x", "rebase-merge/git-rebase-todo",
		"info/exclude", "info/attributes", "modules/sub/HEAD", "modules/sub/index", "worktrees/x/gitdir",
		"description", "ORIG_HEAD", "gc.pid"};
	static const enum act acts[] = {ACT_WRITE, ACT_TRUNCATE, ACT_ATTR, ACT_REMOVE, ACT_RENAME_FROM, ACT_RENAME_TO};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_free char *path = xasprintf("sub/.git/%s", names[i]);
		for (size_t k = 0; k < ARRAY_LEN(acts); k++)
			LETS(path, acts[k]);
		REFUSES(path, ACT_SYMLINK);
		REFUSES(path, ACT_LINK_FROM);
		REFUSES(path, ACT_LINK_TO);
	}
	LETS(".git/objects/ab", ACT_MKDIR);
	LETS(".git/refs/heads/hooks", ACT_MKDIR);
	LETS(".git/refs/heads/config", ACT_MKDIR); /* a branch config/x */
	LETS(".git/refs/heads/config/x", ACT_RENAME_TO);
}
END_TEST

START_TEST(configuration_only_by_a_checked_rename)
{
	static const char *const names[] = {".git/config", ".git/CONFIG", ".git./config. ", ".git/config.worktree", "a/.git/config",
		".git/modules/sub/config", ".git/modules/a/b/config", ".git/worktrees/x/config.worktree", ".Git/Config"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		IS(names[i], ACT_RENAME_TO, V_CONFIG);
		REFUSES(names[i], ACT_WRITE);
		REFUSES(names[i], ACT_TRUNCATE);
		REFUSES(names[i], ACT_MKDIR);
		REFUSES(names[i], ACT_RENAME_FROM);
		REFUSES(names[i], ACT_SYMLINK);
		REFUSES(names[i], ACT_LINK_FROM);
		REFUSES(names[i], ACT_LINK_TO);
		struct facts dir = {.is_dir = true};
		ck_assert_int_eq(judge(names[i], ACT_RENAME_TO, &dir), V_REFUSE);
	}
	/* Branches of that name. */
	IS(".git/refs/heads/config", ACT_RENAME_TO, V_CONFIG);
	LETS(".git/refs/heads/config", ACT_RENAME_FROM);
	REFUSES(".git/refs/heads/config", ACT_WRITE);
	IS(".git/logs/refs/heads/config", ACT_WRITE, V_REFLOG);
	IS(".git/logs/refs/heads/config", ACT_TRUNCATE, V_REFLOG);
	LETS(".git/logs/refs/heads/config", ACT_RENAME_FROM);
	IS(".git/logs/refs/heads/config", ACT_RENAME_TO, V_CONFIG);
}
END_TEST

START_TEST(hooks_take_samples_only)
{
	LETS(".git/hooks", ACT_MKDIR);
	LETS(".git/hooks", ACT_RMDIR);
	static const enum act no[] = {ACT_WRITE, ACT_RENAME_FROM, ACT_RENAME_TO, ACT_SYMLINK, ACT_LINK_FROM, ACT_LINK_TO};
	for (size_t k = 0; k < ARRAY_LEN(no); k++) {
		REFUSES(".git/hooks", no[k]);
		REFUSES(".git/HOOKS", no[k]);
		REFUSES(".git/hooks/pre-commit", no[k]);
		REFUSES(".git/modules/x/hooks/pre-commit", no[k]);
		REFUSES(".git/modules/hooks", no[k]);
	}
	LETS(".git/hooks/pre-commit.sample", ACT_WRITE);
	LETS(".git/hooks/pre-commit.sample", ACT_ATTR);
	LETS(".git/hooks/pre-commit.sample", ACT_REMOVE);
	REFUSES(".git/hooks/pre-commit.sample", ACT_RENAME_FROM);
	REFUSES(".git/hooks/pre-commit.sample", ACT_RENAME_TO);
	REFUSES(".git/hooks/.sample", ACT_WRITE);
	REFUSES(".git/hooks/pre-commit.SAMPLE", ACT_WRITE);
	REFUSES(".git/hooks/x.sample/y", ACT_WRITE);
	REFUSES(".git/hooks/x.sample/y.sample", ACT_WRITE);
	REFUSES(".git/hooks/x.sample", ACT_MKDIR);
	REFUSES(".git/hooks/pre-commit", ACT_ATTR);
	REFUSES(".git/hooks/pre-commit", ACT_REMOVE);
	struct facts dir = {.is_dir = true};
	ck_assert_int_eq(judge(".git/refs/heads/hooks", ACT_RENAME_TO, &dir), V_REFUSE);
	struct fpath p;
	fpath_parse(&p, ".git/refs/remotes/x/hooks/y", 27, NULL);
	ck_assert(rules_never_executable(&p));
	fpath_parse(&p, ".git/hooks/y.sample", 19, NULL);
	ck_assert(rules_never_executable(&p));
	fpath_parse(&p, ".git/config", 11, NULL);
	ck_assert(!rules_never_executable(&p)); /* git tries the bit on it */
	fpath_parse(&p, "hooks/y", 7, NULL);
	ck_assert(!rules_never_executable(&p));
}
END_TEST

START_TEST(commondir_and_nested_ones)
{
	IS(".git/worktrees/x/commondir", ACT_WRITE, V_COMMONDIR);
	IS(".git/COMMONDIR", ACT_WRITE, V_COMMONDIR);
	REFUSES(".git/worktrees/x/commondir", ACT_RENAME_TO);
	REFUSES(".git/worktrees/x/commondir", ACT_RENAME_FROM);
	LETS(".git/worktrees/x/commondir", ACT_REMOVE);
	REFUSES(".git/.git", ACT_MKDIR);
	REFUSES(".git/x/.git/y", ACT_WRITE);
	LETS(".git/x/.git", ACT_RMDIR);
}
END_TEST

START_TEST(no_new_bare_repositories)
{
	REFUSES("x/HEAD", ACT_WRITE);
	REFUSES("HEAD", ACT_WRITE);
	REFUSES("x/HEAD", ACT_MKDIR);
	REFUSES("x/HEAD", ACT_RENAME_TO);
	REFUSES("x/HEAD", ACT_SYMLINK);
	REFUSES("x/HEAD", ACT_LINK_TO);
	LETS("x/HEAD", ACT_RENAME_FROM);
	LETS("x/HEAD", ACT_REMOVE);
	struct facts there = {.exists = true};
	ck_assert_int_eq(judge("x/HEAD", ACT_RENAME_TO, &there), V_EXISTING);
	ck_assert_int_eq(judge("x/HEAD", ACT_WRITE, &there), V_EXISTING);
	ck_assert_int_eq(judge("x/HEAD", ACT_SYMLINK, &there), V_REFUSE);
	struct facts there_dir = {.exists = true, .is_dir = true};
	ck_assert_int_eq(judge("x/HEAD", ACT_RENAME_TO, &there_dir), V_REFUSE);
	struct facts fold = {.fold = true};
	ck_assert_int_eq(judge("x/HEAD. .", ACT_WRITE, &fold), V_REFUSE);
	ck_assert_int_eq(judge("CONFIG~1.WOR/x", ACT_WRITE, &fold), V_REFUSE);
	ck_assert_int_eq(judge("x/head", ACT_WRITE, &fold), V_REFUSE);
}
END_TEST

START_TEST(bare_repositories_that_are_there_are_held)
{
	struct facts bare = {.parent_head = true};
	ck_assert_int_eq(judge("x/config", ACT_WRITE, &bare), V_REFUSE);
	ck_assert_int_eq(judge("x/config", ACT_RENAME_TO, &bare), V_CONFIG);
	ck_assert_int_eq(judge("x/config", ACT_LINK_FROM, &bare), V_REFUSE);
	ck_assert_int_eq(judge("config", ACT_WRITE, &bare), V_REFUSE);
	ck_assert_int_eq(judge("x/hooks", ACT_RENAME_FROM, &bare), V_REFUSE);
	ck_assert_int_eq(judge("x/hooks", ACT_RENAME_TO, &bare), V_REFUSE);
	ck_assert_int_eq(judge("x/hooks", ACT_SYMLINK, &bare), V_REFUSE);
	ck_assert_int_eq(judge("x/commondir", ACT_WRITE, &bare), V_REFUSE);
	struct facts below = {.above_hooks = true};
	ck_assert_int_eq(judge("x/hooks/post-checkout", ACT_WRITE, &below), V_REFUSE);
	ck_assert_int_eq(judge("x/hooks/post-checkout", ACT_RENAME_TO, &below), V_REFUSE);
	ck_assert_int_eq(judge("x/hooks/a.sample", ACT_WRITE, &below), V_LET);
	struct fpath p;
	fpath_parse(&p, "x/config", 8, NULL);
	ck_assert(rules_wants_head(&p, false));
	fpath_parse(&p, "x/Config", 8, NULL);
	ck_assert(!rules_wants_head(&p, false));
	ck_assert(rules_wants_head(&p, true));
}
END_TEST

START_TEST(configured_hooks_and_includes_are_protected)
{
	static struct fpath paths[2];
	fpath_parse(&paths[0], "tools/hooks", 11, NULL);
	fpath_parse(&paths[1], ".gitconfig", 10, NULL);
	struct facts f = {.protected = paths, .n_protected = 2};
	for (size_t k = 0; k < ARRAY_LEN(all); k++) {
		ck_assert_int_eq(judge("tools/hooks/pre-commit", all[k], &f), V_REFUSE);
		ck_assert_int_eq(judge("tools/hooks", all[k], &f), V_REFUSE);
		ck_assert_int_eq(judge(".gitconfig", all[k], &f), V_REFUSE);
		ck_assert_int_eq(judge("tools/other", all[k], &f), V_LET);
	}
	ck_assert_int_eq(judge("tools", ACT_RENAME_FROM, &f), V_REFUSE);
	ck_assert_int_eq(judge("tools", ACT_RENAME_TO, &f), V_REFUSE);
	ck_assert_int_eq(judge("tools", ACT_SYMLINK, &f), V_REFUSE);
	ck_assert_int_eq(judge("tools", ACT_MKDIR, &f), V_LET);
}
END_TEST

START_TEST(nothing_crosses_the_border)
{
	static const struct {
		const char *from, *to;
		bool same;
	} rows[] = {{"a", "b", true}, {".git/a", ".git/b", true}, {".git/a/b", ".git/c", true}, {".git/a", "b", false},
		{"a", ".git/b", false}, {"x/.git/a", ".git/a", false}, {"x/.git/a", "y/.git/a", false},
		{"x/.git/a", "x/.git/b", true}, {".git/a", ".GIT/a", false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fpath a, b;
		fpath_parse(&a, rows[i].from, strlen(rows[i].from), NULL);
		fpath_parse(&b, rows[i].to, strlen(rows[i].to), NULL);
		ck_assert_msg(rules_same_git(&a, &b) == rows[i].same, "%s %s", rows[i].from, rows[i].to);
	}
}
END_TEST

START_TEST(our_own_files_are_ours)
{
	for (size_t k = 0; k < ARRAY_LEN(all); k++) {
		REFUSES(".git/.tmux-claude-abc", all[k]);
		REFUSES(".tmux-claude-abc", all[k]);
	}
}
END_TEST

START_TEST(the_probe_for_links)
{
	struct fpath p;
	fpath_parse(&p, "a/.git/tAbC123", 14, NULL);
	ck_assert(rules_is_probe(&p, "testing"));
	ck_assert(!rules_is_probe(&p, "/etc"));
	fpath_parse(&p, ".git/modules/m/tAbC123", 22, NULL);
	ck_assert(rules_is_probe(&p, "testing"));
	fpath_parse(&p, ".git/tAbC1234", 13, NULL);
	ck_assert(!rules_is_probe(&p, "testing"));
	fpath_parse(&p, "a/.git/config", 13, NULL);
	ck_assert(!rules_is_probe(&p, "testing"));
	fpath_parse(&p, "tAbC123", 7, NULL);
	ck_assert(!rules_is_probe(&p, "testing"));
}
END_TEST

TEST_MAIN("files/rules", ordinary_files_are_free, the_folder_itself_stays,
	dotgit_is_made_as_a_folder_or_a_checked_file, what_git_needs_inside_is_free,
	configuration_only_by_a_checked_rename, hooks_take_samples_only, commondir_and_nested_ones,
	no_new_bare_repositories, bare_repositories_that_are_there_are_held,
	configured_hooks_and_includes_are_protected, nothing_crosses_the_border, our_own_files_are_ours, the_probe_for_links)
