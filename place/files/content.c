/* SPDX-License-Identifier: ISC */
/* Checks of what steers git. */
#include "place/files/content.h"

#include <ctype.h>
#include <string.h>

#include "base/util.h"

#define LINE_LIMIT 1024
#define NAME_LIMIT 256

/* Settings that run nothing and lead nowhere: section, with "*" for any subsection, and key. URLs of
 * remotes are among them: git itself refuses transports that run commands (ext::), and a "::" in any of
 * these values is refused here too. */
static const struct {
	const char *section, *key;
	bool sub;
} harmless[] = {
	{"core", "repositoryformatversion", false}, {"core", "filemode", false},
	{"core", "bare", false}, {"core", "logallrefupdates", false},
	{"core", "ignorecase", false}, {"core", "precomposeunicode", false},
	{"core", "symlinks", false}, {"core", "autocrlf", false}, {"core", "eol", false},
	{"core", "safecrlf", false}, {"core", "quotepath", false}, {"core", "abbrev", false},
	{"core", "sparsecheckout", false}, {"core", "sparsecheckoutcone", false},
	{"extensions", "objectformat", false}, {"extensions", "worktreeconfig", false},
	{"remote", "url", true}, {"remote", "pushurl", true}, {"remote", "fetch", true},
	{"remote", "push", true}, {"remote", "tagopt", true}, {"remote", "prune", true},
	{"branch", "remote", true}, {"branch", "merge", true}, {"branch", "rebase", true},
	{"branch", "pushremote", true}, {"branch", "description", true},
	{"branch", "vscode-merge-base", true},
	{"submodule", "url", true}, {"submodule", "active", true}, {"submodule", "branch", true},
	{"submodule", "active", false},
	{"user", "name", false}, {"user", "email", false},
	{"init", "defaultbranch", false}, {"pull", "rebase", false}, {"pull", "ff", false},
	{"push", "default", false}, {"push", "autosetupremote", false},
	{"fetch", "prune", false}, {"merge", "conflictstyle", false},
	{"rebase", "autosquash", false}, {"rebase", "autostash", false},
	{"rerere", "enabled", false}, {"gc", "auto", false}, {"index", "version", false},
};

struct setting {
	char section[NAME_LIMIT]; /* lower case */
	char sub[NAME_LIMIT];     /* as written; has_sub tells "" from none */
	bool has_sub;
	char key[NAME_LIMIT];     /* lower case; "" on a section's own line */
	char value[LINE_LIMIT];   /* as written, spaces around it cut */
};

struct lines {
	const char *p, *end;
	const char *start; /* of the line that s was read from */
	int number;
	struct setting s;
};

static bool name_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.';
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

static void trim(char *s)
{
	size_t len = strlen(s), skip = strspn(s, " \t");
	while (len > skip && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	memmove(s, s + skip, len - skip);
	s[len - skip] = '\0';
}

/* [name] or [name "sub"], alone on its line. */
static int read_section(struct setting *s, const char *line)
{
	size_t n = 0;
	const char *p = line + 1;
	while (name_char(p[n]))
		n++;
	if (n == 0 || n >= sizeof(s->section))
		return -1;
	memcpy(s->section, p, n);
	s->section[n] = '\0';
	lower(s->section);
	s->has_sub = false;
	s->sub[0] = '\0';
	p += n;
	if (*p == ' ') {
		p += strspn(p, " ");
		size_t len = *p == '"' ? strcspn(p + 1, "\"\\") : 0;
		if (*p != '"' || p[1 + len] != '"' || len >= sizeof(s->sub))
			return -1;
		memcpy(s->sub, p + 1, len);
		s->sub[len] = '\0';
		s->has_sub = true;
		p += len + 2;
	} else if (strchr(s->section, '.')) {
		return -1; /* [name.sub], an old spelling: not worth a second way to say a thing */
	}
	s->key[0] = '\0';
	return strcmp(p, "]") == 0 ? 0 : -1;
}

static int read_key(struct setting *s, const char *line)
{
	size_t n = 0;
	while (isalnum((unsigned char)line[n]) || line[n] == '-')
		n++;
	if (!isalpha((unsigned char)line[0]) || n >= sizeof(s->key) || !s->section[0])
		return -1;
	memcpy(s->key, line, n);
	s->key[n] = '\0';
	lower(s->key);
	const char *p = line + n + strspn(line + n, " \t");
	if (*p != '=' && *p != '\0')
		return -1;
	snprintf(s->value, sizeof(s->value), "%s", *p ? p + 1 : "");
	trim(s->value);
	/* "key" and "key =" differ to git. */
	if (!*p)
		strcpy(s->value, "\n");
	return 0;
}

/* The next setting (1), the end (0), or a line that is not plain (-1). Section lines come as settings
 * without a key. */
static int next_setting(struct lines *l)
{
	while (l->p < l->end) {
		char line[LINE_LIMIT];
		const char *nl = memchr(l->p, '\n', (size_t)(l->end - l->p));
		size_t len = nl ? (size_t)(nl - l->p) : (size_t)(l->end - l->p);
		const char *start = l->start = l->p;
		l->number++;
		l->p += len + (nl ? 1 : 0);
		if (len >= sizeof(line))
			return -1;
		for (size_t i = 0; i < len; i++)
			if (((unsigned char)start[i] < 0x20 && start[i] != '\t') || start[i] == 0x7f)
				return -1;
		memcpy(line, start, len);
		line[len] = '\0';
		/* A backslash at its end joins the next line to it, even in a comment's looks. */
		if (len > 0 && line[len - 1] == '\\')
			return -1;
		trim(line);
		if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
			continue;
		int rc = line[0] == '[' ? read_section(&l->s, line) : read_key(&l->s, line);
		return rc < 0 ? -1 : 1;
	}
	return 0;
}

static bool same(const struct setting *a, const struct setting *b)
{
	return strcmp(a->section, b->section) == 0 && a->has_sub == b->has_sub &&
	       strcmp(a->sub, b->sub) == 0 && strcmp(a->key, b->key) == 0 &&
	       strcmp(a->value, b->value) == 0;
}

static bool stood_before(const struct setting *s, const char *old, size_t len)
{
	struct lines l = {.p = old, .end = old + len};
	int rc;
	while ((rc = next_setting(&l)) != 0) {
		if (rc > 0 && same(&l.s, s))
			return true;
		/* What cannot be read could end the section in git's eyes: nothing behind it counts
		 * until the next section's line. */
		if (rc < 0)
			l.s.section[0] = '\0';
	}
	return false;
}

static bool is_harmless(const struct setting *s)
{
	if (s->key[0] == '\0')
		return true;
	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		if (strcmp(s->section, harmless[i].section) == 0 &&
			strcmp(s->key, harmless[i].key) == 0 && s->has_sub == harmless[i].sub)
			/* No quoting: what is compared here is what git reads. */
			return !strpbrk(s->value, "\"\\") && !strstr(s->value, "::") &&
			       s->value[0] != '-';
	}
	return false;
}

static bool is_setting(const struct setting *s, const char *section, const char *key)
{
	return strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0;
}

static bool is_remote_url(const struct setting *s)
{
	return is_setting(s, "remote", "url") || is_setting(s, "remote", "pushurl");
}

/* Does a remote of that name have a URL in old? */
static bool remote_known(const struct setting *s, const char *old, size_t len)
{
	struct lines l = {.p = old, .end = old + len};
	int rc;
	while ((rc = next_setting(&l)) != 0)
		if (rc > 0 && is_remote_url(&l.s) && strcmp(l.s.sub, s->sub) == 0)
			return true;
	return false;
}

/* The remotes of old must be in text. */
static int keeps_remotes(const char *text, size_t len, const char *old, size_t old_len, struct err *e)
{
	struct lines l = {.p = old, .end = old + old_len};
	int rc;
	while ((rc = next_setting(&l)) != 0) {
		if (rc < 0 || !is_remote_url(&l.s) || stood_before(&l.s, text, len))
			continue;
		err_set(e, ERR_DENIED, "the URL of the remote %s may not change in a place", l.s.sub);
		return err_hint(e, "change it on the host, or add another remote");
	}
	return 0;
}

int content_config(const char *text, size_t len, const char *old, size_t old_len, struct buf *out,
	struct err *e)
{
	text = text ? text : "";
	old = old ? old : "";
	struct lines l = {.p = text, .end = text + len};
	const char *copied = text;
	int rc;
	while ((rc = next_setting(&l)) > 0) {
		const struct setting *s = &l.s;
		if (stood_before(s, old, old_len))
			continue;
		if (is_setting(s, "core", "worktree") && !s->has_sub) {
			buf_append(out, copied, (size_t)(l.start - copied));
			copied = l.p;
		} else if (!is_harmless(s) || (is_remote_url(s) && remote_known(s, old, old_len))) {
			err_set(e, ERR_DENIED,
				"line %d of git's configuration sets %s%s%s.%s, which a place may not",
				l.number, s->section, s->has_sub ? "." : "", s->sub, s->key);
			return err_hint(e, "set it on the host, or with git -c for one command");
		}
	}
	if (rc < 0) {
		err_set(e, ERR_DENIED, "line %d of git's configuration is not plain enough to be checked",
			l.number);
		return err_hint(e, "change it on the host");
	}
	buf_append(out, copied, (size_t)(text + len - copied));
	return keeps_remotes(text, len, old, old_len, e);
}

static size_t hex_run(const char *text, size_t len)
{
	size_t n = 0;
	while (n < len && isxdigit((unsigned char)text[n]))
		n++;
	return n;
}

bool content_is_ref(const char *text, size_t len)
{
	if (len == 0 || text[len - 1] != '\n' || memchr(text, '\n', len - 1) ||
		memchr(text, '\0', len))
		return false;
	size_t hex = hex_run(text, len);
	return ((hex == 40 || hex == 64) && hex == len - 1) ||
	       (len > 10 && memcmp(text, "ref: refs/", 10) == 0);
}

bool content_is_reflog(const char *text, size_t len)
{
	size_t hex = hex_run(text, len);
	return (hex == 40 || hex == 64) && hex < len && text[hex] == ' ';
}

int content_gitfile(const char *text, size_t len, const struct fpath *p, size_t n, const char *root,
	struct err *e)
{
	static const char head[] = "gitdir: ";
	struct fpath to;
	char link[FPATH_MAX + 1];
	while (len > 0 && text[len - 1] == '\n')
		len--;
	size_t skip = sizeof(head) - 1;
	if (len <= skip || len - skip > FPATH_MAX || memcmp(text, head, skip) != 0 ||
		memchr(text, '\n', len) || memchr(text, '\0', len))
		return err_set(e, ERR_DENIED, "a .git file made in a place must say \"gitdir: PATH\"");
	memcpy(link, text + skip, len - skip);
	link[len - skip] = '\0';
	/* ".." behind a name is not what it looks like when the name is a link. */
	const char *behind = link;
	while (strncmp(behind, "../", 3) == 0)
		behind += 3;
	if (strstr(behind, ".."))
		return err_set(e, ERR_DENIED, "a .git file made in a place may have .. at its front only");
	if (fpath_join(p, n, link, root, &to) < 0)
		return err_set(e, ERR_DENIED, "the .git file would lead out of the folder");
	size_t i = 0;
	while (i < to.n && strcmp(to.comp[i], ".git") != 0)
		i++;
	/* Not deeper into what git keeps there: a folder of references can look like a repository. */
	bool ok = i + 2 < to.n && ((strcmp(to.comp[i + 1], "worktrees") == 0 && i + 3 == to.n) ||
					  strcmp(to.comp[i + 1], "modules") == 0);
	for (size_t k = i + 2; ok && k < to.n; k++) {
		static const char *const no[] = {"refs", "logs", "objects", "hooks", "info", ".git"};
		for (size_t m = 0; m < ARRAY_LEN(no); m++)
			ok = ok && strcasecmp(to.comp[k], no[m]) != 0;
	}
	if (!ok)
		return err_set(e, ERR_DENIED,
			"a .git file made in a place must lead into .git/modules or .git/worktrees");
	return 0;
}

bool content_is_commondir(const char *text, size_t len)
{
	return (len == 5 && memcmp(text, "../..", 5) == 0) ||
	       (len == 6 && memcmp(text, "../..\n", 6) == 0);
}

void content_config_paths(const char *text, size_t len, void (*fn)(void *arg, const char *path),
	void *arg)
{
	text = text ? text : "";
	struct lines l = {.p = text, .end = text + len};
	int rc;
	while ((rc = next_setting(&l)) != 0) {
		struct setting *s = &l.s;
		if (rc < 0)
			continue;
		bool wanted = (strcmp(s->section, "core") == 0 && strcmp(s->key, "hookspath") == 0) ||
			      ((strcmp(s->section, "include") == 0 ||
				       strcmp(s->section, "includeif") == 0) &&
				      strcmp(s->key, "path") == 0);
		if (!wanted)
			continue;
		char *v = s->value;
		size_t n = strlen(v);
		if (n >= 2 && v[0] == '"' && v[n - 1] == '"') {
			v[n - 1] = '\0';
			v++;
		}
		fn(arg, v);
	}
}
