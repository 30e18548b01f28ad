/* SPDX-License-Identifier: ISC */
/* What may stand in files that steer git. */
#include "place/files/content.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct err e;

static char installed[4096];

static int config(const char *text, const char *old)
{
	struct buf out;
	buf_init(&out, sizeof(installed) - 1);
	int rc = content_config(text, strlen(text), old, strlen(old), &out, &e);
	memcpy(installed, out.len ? (char *)buf_data(&out) : "", out.len);
	installed[out.len] = '\0';
	buf_finish(&out);
	return rc;
}

START_TEST(what_git_itself_writes)
{
	ck_assert_int_eq(config("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
				"\tlogallrefupdates = true\n[remote \"origin\"]\n\turl = https://example.org/a.git\n"
				"\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = origin\n"
				"\tmerge = refs/heads/main\n[user]\n\tname = J. R\xc3\xa9my\n\temail = j@example.org\n"
				"# a comment\n; another\n\n[submodule \"a/b\"]\n\tactive = true\n\turl = ../x\n", ""), 0);
	ck_assert_int_eq(config("", ""), 0);
	ck_assert_int_eq(config("[core]\nbare\n", ""), 0);
}
END_TEST

START_TEST(what_runs_commands_or_leads_elsewhere)
{
	static const char *const bad[] = {
		"[core]\n\tfsmonitor = /tmp/x\n", "[core]\nFSMonitor=x\n", "[CORE]\n\tsshCommand = x\n", "[core]\nhooksPath=.\n",
		"[core]\neditor=x\n", "[core]\npager=x\n", "[core]\ngitproxy=x\n", "[core]\naskpass=x\n", "[core]\nattributesfile=x\n",
		"[alias]\nst = !x\n", "[credential]\nhelper = !x\n", "[filter \"x\"]\nclean = x\n", "[diff \"x\"]\ntextconv = x\n",
		"[merge \"x\"]\ndriver = x\n", "[include]\npath = x\n", "[includeIf \"gitdir:/\"]\npath = x\n", "[gpg]\nprogram = x\n",
		"[remote \"o\"]\nuploadpack = x\n", "[remote \"o\"]\nreceivepack = x\n", "[remote \"o\"]\nvcs = x\n",
		"[remote \"o\"]\nproxy = x\n", "[submodule \"s\"]\nupdate = !x\n", "[url \"x\"]\ninsteadOf = y\n",
		"[extensions]\nrefstorage = x\n", "[uploadpack]\npackObjectsHook = x\n", "[sequence]\neditor = x\n",
		"[remote \"o\"]\nurl = ext::sh -c x\n", "[remote \"o\"]\nurl = \"ext:\":sh\n", "[remote \"o\"]\nurl = ext\\:\\:sh\n",
		"[remote \"o\"]\nurl = -oProxyCommand=x\n", "[branch \"b\"]\nremote = ext::x\n",
		"[core \"sub\"]\nbare = true\n", "[remote]\nurl = x\n", "[extensions]\npartialclone = x\n", "[remote \"o\"]\npromisor = true\n",
		"[difftool \"x\"]\ncmd = x\n", "[man \"x\"]\ncmd = x\n", "[browser \"x\"]\npath = x\n", "[interactive]\ndiffFilter = x\n",
		"[tar \"x\"]\ncommand = x\n", "[sendemail]\nsmtpserver = /x\n", "[trailer \"x\"]\ncommand = x\n", "[pager]\nlog = x\n",
		"[http]\nproxy = x\n", "[lfs]\nurl = x\n", "[lfs \"customtransfer.x\"]\npath = x\n", "[web]\nbrowser = x\n",
		"[commit]\ntemplate = /x\n", "[init]\ntemplateDir = x\n", "[mergetool \"x\"]\ncmd = x\n", "[gc]\nrecentObjectsHook = x\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(config(bad[i], "") == -1, "%s", bad[i]);
		ck_assert_int_eq(e.code, ERR_DENIED);
	}
}
END_TEST

START_TEST(what_hides_from_a_simple_reader)
{
	static const char *const bad[] = {
		"[core]\nbare = \\\n[core] fsmonitor = x\n", "[core] fsmonitor = x\n", "[core]bare=true\n", "[a.b]\nc = d\n",
		"[remote.o]\nurl = x\n", "[core]\n= x\n", "bare = true\n", "[core\n", "[core \"x]\nbare=1\n", "[core \"x\" ]\nbare=1\n",
		"[core]\nbare true\n", "[core]\nba_re = true\n", "[core]\n1bare = true\n", "[]\n", "[ core]\n", "\xef\xbb\xbf[core]\nbare=1\n",
		"[core]\nbare = true\r\nfsmonitor = x\n", "[core]\n\fbare = true\n", "[core]\n\vbare = 1\n", "[remote \"a\\\"b\"]\nurl = x\n",
		"# comment \\\n", "[core]\nbare = \"a\n\"\nfsmonitor = x\n", "[core]\nbare\x7f = 1\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(config(bad[i], "") == -1, "%s", bad[i]);
	struct buf out;
	buf_init(&out, 100);
	ck_assert_int_eq(content_config("[core]\n\0bare = 1\n", 17, "", 0, &out, &e), -1);
	buf_finish(&out);
	char big[3000] = "[user]\nname = ";
	memset(big + 14, 'a', 2900);
	ck_assert_int_eq(config(big, ""), -1);
}
END_TEST

START_TEST(what_stood_there_may_stay)
{
	const char *old = "[core]\n\tfsmonitor = true\n[alias]\n\tst = !git status\n[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n";
	ck_assert_int_eq(config("[alias]\n\tst = !git status\n[core]\n  FsMonitor=true\n[user]\n\tname = x\n"
				"[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n", old), 0);
	ck_assert_int_eq(config("[alias]\n\tst = !git status;x\n", old), -1);
	ck_assert_int_eq(config("[alias]\n\tci = !git status\n", old), -1);
	ck_assert_int_eq(config("[alias \"x\"]\n\tst = !git status\n", old), -1);
	ck_assert_int_eq(config("[filter \"LFS\"]\n\tclean = git-lfs clean -- %f\n", old), -1);
	ck_assert_int_eq(config("[core]\n\tfsmonitor = /x\n", old), -1);
	/* In the old one, what is the tail of another value is no setting. */
	const char *tricky = "[a]\nx = 1 \\\n[core]\\\nfsmonitor = /x\n[user]\nname = y\n";
	ck_assert_int_eq(config("[core]\nfsmonitor = /x\n", tricky), -1);
	/* "key" alone is not "key =" */
	ck_assert_int_eq(config("[a]\nb =\n", "[a]\nb\n"), -1);
	ck_assert_int_eq(config("[a]\nb\n", "[a]\nb\n"), 0);
}
END_TEST

START_TEST(a_submodules_worktree_is_left_out)
{
	ck_assert_int_eq(config("[core]\n\tbare = false\n\tworktree = ../../../sub\n\tfilemode = true\n", ""), 0);
	ck_assert_str_eq(installed, "[core]\n\tbare = false\n\tfilemode = true\n");
	ck_assert_int_eq(config("[core]\nworktree = /home/me\n", ""), 0);
	ck_assert_str_eq(installed, "[core]\n");
	/* What the user has set stays. */
	ck_assert_int_eq(config("[user]\nname=x\n[core]\nworktree = /w\n", "[core]\nworktree = /w\n"), 0);
	ck_assert_str_eq(installed, "[user]\nname=x\n[core]\nworktree = /w\n");
	ck_assert_int_eq(config("[core \"x\"]\nworktree = y\n", ""), -1);
}
END_TEST

START_TEST(remotes_that_are_there_stay)
{
	const char *old = "[remote \"origin\"]\n\turl = https://example.org/a\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n";
	char text[512];
	snprintf(text, sizeof(text), "%s[remote \"mine\"]\n\turl = https://example.org/b\n", old);
	ck_assert_int_eq(config(text, old), 0);
	ck_assert_int_eq(config("[remote \"origin\"]\n\turl = https://evil.example/a\n", old), -1);
	ck_assert_int_eq(config("", old), -1);
	ck_assert_int_eq(config("[user]\nname = x\n", old), -1);
	snprintf(text, sizeof(text), "%s\turl = https://evil.example/a\n", old);
	ck_assert_int_eq(config(text, old), -1);
	snprintf(text, sizeof(text), "%s\tpushurl = https://evil.example/a\n", old);
	ck_assert_int_eq(config(text, old), -1);
	snprintf(text, sizeof(text), "%s[remote \"origin\"]\n\tpushurl = https://evil.example/a\n", old);
	ck_assert_int_eq(config(text, old), -1);
	snprintf(text, sizeof(text), "%s\tprune = true\n", old);
	ck_assert_int_eq(config(text, old), 0);
}
END_TEST

static int gitfile(const char *dir, const char *text)
{
	static struct fpath p;
	cleanup_free char *path = xasprintf("%s/.git", dir);
	fpath_parse(&p, path, strlen(path), NULL);
	return content_gitfile(text, strlen(text), &p, p.n - 1, "/home/me/p", &e);
}

START_TEST(git_files)
{
	ck_assert_int_eq(gitfile("sub", "gitdir: ../.git/modules/sub\n"), 0);
	ck_assert_int_eq(gitfile("a/b", "gitdir: ../../.git/modules/a/b"), 0);
	ck_assert_int_eq(gitfile("wt", "gitdir: /home/me/p/.git/worktrees/wt\n"), 0);
	ck_assert_int_eq(gitfile("n/wt", "gitdir: ../.git/worktrees/wt\n"), 0);
	static const char *const bad[] = {"", "gitdir:", "gitdir: ", "gitdir: x\n", "gitdir: ../x\n", "gitdir: ../../x/.git/modules/y\n",
		"gitdir: /tmp/.git/modules/x\n", "gitdir: ../.git\n", "gitdir: ../.git/modules\n", "gitdir: ../.git/refs/heads\n",
		"gitdir: ../.git/modules/refs/x\n", "gitdir: ../.git/modules/x/logs\n", "gitdir: ../.git/worktrees/a/b\n",
		"gitdir: ../.git/modules/../refs/x\n", "gitdir: ../.git/worktrees/../logs\n", "gitdir: ../.git/modules/x\nfoo\n", "gitdir: ../l/../.git/modules/x\n",
		"gitdir: ../.git/modules/a/OBJECTS\n", "GITDIR: ../.git/modules/sub\n", " gitdir: ../.git/modules/sub\n",
		"gitdir:../.git/modules/sub\n", "gitdir: ../.GIT/modules/x\n", "gitdir: ../.git/modules/x/.git\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(gitfile("sub", bad[i]) == -1, "%s", bad[i]);
}
END_TEST

START_TEST(references_and_their_logs)
{
	const char *sha = "0123456789abcdef0123456789abcdef01234567";
	char text[128];
	snprintf(text, sizeof(text), "%s\n", sha);
	ck_assert(content_is_ref(text, strlen(text)));
	ck_assert(content_is_ref("ref: refs/heads/x\n", 18));
	ck_assert(!content_is_ref(sha, 40));
	ck_assert(!content_is_ref("ref: /etc/x\n", 12));
	ck_assert(!content_is_ref("ref: refs/heads/x\n[core]\n", 25));
	ck_assert(!content_is_ref("", 0));
	ck_assert(!content_is_ref("[core]\n", 7));
	snprintf(text, sizeof(text), "%s %s me <m@e> 1 +0000\tx\n", sha, sha);
	ck_assert(content_is_reflog(text, strlen(text)));
	ck_assert(!content_is_reflog("[core]\n", 7));
	ck_assert(!content_is_reflog(sha, 40));
	ck_assert(content_is_commondir("../..\n", 6));
	ck_assert(content_is_commondir("../..", 5));
	ck_assert(!content_is_commondir("../../", 6));
	ck_assert(!content_is_commondir("../../x\n", 8));
}
END_TEST

static char seen[256];
static void see(void *arg, const char *path)
{
	(void)arg;
	strcat(seen, path);
	strcat(seen, ";");
}

START_TEST(paths_that_a_configuration_names)
{
	const char *text = "[core]\n\thooksPath = .githooks\n\tbare = false\nrubbish here\n[core]\nhookspath = \"a b\"\n"
			   "[include]\n\tpath = ../.gitconfig\n[includeIf \"onbranch:x\"]\n\tpath = y\n[alias]\npath = z\n";
	content_config_paths(text, strlen(text), see, NULL);
	ck_assert_str_eq(seen, ".githooks;a b;../.gitconfig;y;");
}
END_TEST

TEST_MAIN("files/content", what_git_itself_writes, what_runs_commands_or_leads_elsewhere,
	what_hides_from_a_simple_reader, what_stood_there_may_stay, a_submodules_worktree_is_left_out, remotes_that_are_there_stay, git_files,
	references_and_their_logs, paths_that_a_configuration_names)
