/* SPDX-License-Identifier: ISC */
/* The rules, as a decision over names. */
#include "place/files/rules.h"

#include <string.h>
#include <strings.h>

#include "base/util.h"

/* In any letter case, and with the dots and spaces at its end that some file systems drop. */
static bool loosely(const char *name, const char *want)
{
	size_t len = strlen(name);
	while (len > 0 && (name[len - 1] == '.' || name[len - 1] == ' '))
		len--;
	return len == strlen(want) && strncasecmp(name, want, len) == 0;
}

static bool is_dotgit(const char *name)
{
	return loosely(name, ".git") || strcasecmp(name, "git~1") == 0;
}

static bool named(const char *name, const char *want, bool fold)
{
	return fold ? loosely(name, want) : strcmp(name, want) == 0;
}

/* FAT has a second, short name for a long one: NAME~1. */
static bool is_short_name(const char *name)
{
	const char *tilde = strchr(name, '~');
	return tilde && tilde[1] >= '0' && tilde[1] <= '9';
}

static bool is_config(const char *name, bool fold)
{
	return named(name, "config", fold) || named(name, "config.worktree", fold);
}

static bool is_sample(const char *name)
{
	size_t len = strlen(name);
	return len > 7 && strcmp(name + len - 7, ".sample") == 0;
}

int rules_git_at(const struct fpath *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (is_dotgit(p->comp[i]))
			return (int)i;
	return -1;
}

bool rules_wants_head(const struct fpath *p, bool fold)
{
	const char *last = p->n ? p->comp[p->n - 1] : "";
	return is_config(last, fold) || named(last, "hooks", fold) || named(last, "commondir", fold);
}

bool rules_is_probe(const struct fpath *p, const char *target)
{
	const char *name = p->n ? p->comp[p->n - 1] : "";
	int g = rules_git_at(p);
	return g >= 0 && (size_t)g + 1 < p->n && name[0] == 't' && strlen(name) == 7 &&
	       strcmp(target, "testing") == 0;
}

bool rules_never_executable(const struct fpath *p)
{
	int g = rules_git_at(p);
	for (size_t i = g < 0 ? p->n : (size_t)g + 1; i + 1 < p->n; i++)
		if (loosely(p->comp[i], "hooks"))
			return true;
	return false;
}

bool rules_same_git(const struct fpath *from, const struct fpath *to)
{
	int a = rules_git_at(from), b = rules_git_at(to);
	if (a != b)
		return false;
	for (int i = 0; i <= a; i++)
		if (strcmp(from->comp[i], to->comp[i]) != 0)
			return false;
	return true;
}

static enum verdict refuse(const char **why, const char *text)
{
	*why = text;
	return V_REFUSE;
}

static bool makes_or_moves(enum act act)
{
	return act == ACT_RENAME_FROM || act == ACT_RENAME_TO || act == ACT_SYMLINK ||
	       act == ACT_LINK_FROM || act == ACT_LINK_TO;
}

/* The entry .git itself. */
static enum verdict judge_dotgit(enum act act, const char **why)
{
	switch (act) {
	case ACT_MKDIR:
	case ACT_RMDIR:
	case ACT_REMOVE:
	case ACT_ATTR:
		return V_LET;
	case ACT_WRITE:
	case ACT_TRUNCATE:
		return V_GITFILE;
	case ACT_RENAME_FROM:
	case ACT_RENAME_TO:
	case ACT_SYMLINK:
	case ACT_LINK_FROM:
	case ACT_LINK_TO:
		break;
	}
	return refuse(why, "a .git cannot be renamed or linked from inside a place");
}

/* The folder hooks itself. */
static enum verdict judge_hooks(enum act act, const char **why)
{
	if (act == ACT_MKDIR || act == ACT_RMDIR || act == ACT_ATTR)
		return V_LET;
	return refuse(why, "git's hooks would run on the host");
}

static enum verdict judge_below_hooks(const struct fpath *p, size_t hooks, enum act act,
	const char **why)
{
	bool sample = p->n == hooks + 2 && is_sample(p->comp[p->n - 1]);
	if (sample && (act == ACT_WRITE || act == ACT_TRUNCATE || act == ACT_ATTR ||
			      act == ACT_REMOVE))
		return V_LET;
	return refuse(why, "git's hooks would run on the host; only NAME.sample can be written");
}

static enum verdict judge_config(enum act act, bool logs, bool refs_or_logs, const struct facts *f,
	const char **why)
{
	switch (act) {
	case ACT_REMOVE:
	case ACT_RMDIR:
	case ACT_ATTR:
		return V_LET;
	case ACT_RENAME_TO:
		return f->is_dir ? refuse(why, "a folder cannot take the place of git's configuration")
				 : V_CONFIG;
	case ACT_MKDIR:
	case ACT_RENAME_FROM:
		if (refs_or_logs && !f->is_dir)
			return V_LET; /* a branch of that name, or one below it */
		break;
	case ACT_WRITE:
	case ACT_TRUNCATE:
		if (logs)
			return V_REFLOG;
		break;
	case ACT_SYMLINK:
	case ACT_LINK_FROM:
	case ACT_LINK_TO:
		break;
	}
	return refuse(why, "git's configuration changes only by git config (config.lock, renamed)");
}

static enum verdict judge_commondir(enum act act, const char **why)
{
	if (act == ACT_WRITE || act == ACT_TRUNCATE)
		return V_COMMONDIR;
	if (act == ACT_REMOVE || act == ACT_ATTR)
		return V_LET;
	return refuse(why, "commondir leads git to its configuration");
}

/* Below the .git at index g. Names count in any letter case. */
static enum verdict judge_in_git(const struct fpath *p, size_t g, enum act act,
	const struct facts *f, const char **why)
{
	bool refs = false, logs = false;
	const char *last = p->comp[p->n - 1];
	for (size_t i = g + 1; i < p->n; i++) {
		if (is_dotgit(p->comp[i]))
			return act == ACT_REMOVE || act == ACT_RMDIR
				       ? V_LET
				       : refuse(why, "no .git inside a .git");
		if (!refs && !logs && loosely(p->comp[i], "hooks"))
			return i + 1 == p->n ? judge_hooks(act, why)
					     : judge_below_hooks(p, i, act, why);
		if (i + 1 < p->n) {
			refs = refs || strcasecmp(p->comp[i], "refs") == 0;
			logs = logs || strcasecmp(p->comp[i], "logs") == 0;
		}
	}
	if (act == ACT_SYMLINK || act == ACT_LINK_FROM || act == ACT_LINK_TO)
		return refuse(why, "no links inside a .git");
	/* Below refs a branch may be called hooks; a folder with programs in it may not become one. */
	if (loosely(last, "hooks") && act == ACT_RENAME_TO && f->is_dir)
		return refuse(why, "git's hooks would run on the host");
	if (is_config(last, true))
		return judge_config(act, logs, refs || logs, f, why);
	if (loosely(last, "commondir"))
		return judge_commondir(act, why);
	return V_LET;
}

static enum verdict judge_head(enum act act, const struct facts *f, const char **why)
{
	if (act == ACT_REMOVE || act == ACT_RMDIR || act == ACT_ATTR || act == ACT_RENAME_FROM ||
		act == ACT_LINK_FROM)
		return V_LET;
	if (f->exists && !f->is_dir &&
		(act == ACT_WRITE || act == ACT_TRUNCATE || act == ACT_RENAME_TO))
		return V_EXISTING;
	return refuse(why, "a folder with a HEAD is a repository to git; make repositories as .git");
}

/* A folder that has a HEAD and is no .git: somebody's bare repository. */
static enum verdict judge_in_bare(const struct fpath *p, enum act act, const struct facts *f,
	const char **why)
{
	const char *last = p->comp[p->n - 1];
	if (is_config(last, f->fold))
		return judge_config(act, false, false, f, why);
	if (named(last, "hooks", f->fold))
		return judge_hooks(act, why);
	if (named(last, "commondir", f->fold) && act != ACT_REMOVE && act != ACT_ATTR)
		return refuse(why, "commondir leads git to its configuration");
	return V_LET;
}

static bool above_loosely(const struct fpath *a, const struct fpath *p)
{
	for (size_t i = 0; i < a->n; i++)
		if (i >= p->n || !loosely(p->comp[i], a->comp[i]))
			return false;
	return true;
}

static enum verdict judge_protected(const struct fpath *p, enum act act, const struct facts *f,
	const char **why)
{
	for (size_t i = 0; i < f->n_protected; i++) {
		const struct fpath *q = &f->protected[i];
		if (above_loosely(q, p))
			return refuse(why, "the repository's configuration has its hooks or an include here");
		/* A folder above it could be replaced by another one. */
		if (above_loosely(p, q) && (makes_or_moves(act) || act == ACT_WRITE))
			return refuse(why, "the repository's configuration has its hooks or an include in it");
	}
	return V_LET;
}

enum verdict rules_judge(const struct fpath *p, enum act act, const struct facts *f,
	const char **why)
{
	*why = "";
	if (p->n == 0)
		return act == ACT_ATTR ? V_LET : refuse(why, "this is the shared folder itself");
	if (judge_protected(p, act, f, why) == V_REFUSE)
		return V_REFUSE;
	if (strncmp(p->comp[p->n - 1], RULES_OURS, strlen(RULES_OURS)) == 0)
		return refuse(why, "names that begin with " RULES_OURS " are this server's own");
	for (size_t i = 0; f->fold && i < p->n; i++)
		if (is_short_name(p->comp[i]))
			return refuse(why, "short names (NAME~1) are another name of something");
	int g = rules_git_at(p);
	if (g >= 0 && (size_t)g == p->n - 1)
		return judge_dotgit(act, why);
	if (g >= 0)
		return judge_in_git(p, (size_t)g, act, f, why);
	if (f->above_hooks) {
		for (size_t i = p->n - 1; i-- > 0;)
			if (named(p->comp[i], "hooks", f->fold))
				return judge_below_hooks(p, i, act, why);
	}
	if (named(p->comp[p->n - 1], "HEAD", f->fold))
		return judge_head(act, f, why);
	return f->parent_head ? judge_in_bare(p, act, f, why) : V_LET;
}
