/* SPDX-License-Identifier: ISC */
/* Operations on names. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>

#include "base/util.h"
#include "place/files/attrs.h"
#include "place/files/serve.h"

#define TARGET_MAX 4095 /* of a symbolic link */

/* Answers OK or by errno. */
static void answer_rc(struct server *s, int rc)
{
	if (rc < 0)
		answer_errno(s, errno);
	else
		answer_status(s, FX_OK, "");
}

static void do_lstat(struct server *s, struct wire *w, bool follow)
{
	struct fpath p;
	struct stat st;
	if (take_path(s, w, &p) < 0 || !complete(s, w))
		return;
	if (root_lstat(&s->root, &p, &st) < 0)
		answer_errno(s, errno);
	else if (follow && S_ISLNK(st.st_mode))
		answer_errno(s, ELOOP); /* where links lead is for the client's kernel to say */
	else
		answer_attrs(s, &st);
}

void op_lstat(struct server *s, struct wire *w)
{
	do_lstat(s, w, false);
}

void op_stat(struct server *s, struct wire *w)
{
	do_lstat(s, w, true);
}

static int truncate_path(struct server *s, const struct fpath *p, uint64_t size, int verdict)
{
	struct stat st;
	bool free_content = verdict == V_LET || verdict == V_EXISTING;
	if (size > INT64_MAX || (!free_content && size != 0)) {
		errno = free_content ? EFBIG : EACCES;
		return -1;
	}
	if (root_lstat(&s->root, p, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EACCES;
		return -1;
	}
	cleanup_close int fd = root_openat(&s->root, p, O_WRONLY | O_NONBLOCK, 0);
	return fd < 0 ? -1 : ftruncate(fd, (off_t)size);
}

static void do_setstat(struct server *s, struct wire *w)
{
	struct fpath p;
	struct wire_attrs a;
	if (take_path(s, w, &p) < 0)
		return;
	wire_attrs(w, &a);
	if (!complete(s, w))
		return;
	if (a.flags & ATTR_SIZE) {
		int verdict = permit(s, &p, ACT_TRUNCATE, false);
		if (verdict < 0)
			return;
		if (truncate_path(s, &p, a.size, verdict) < 0) {
			answer_errno(s, errno);
			return;
		}
	}
	if (a.flags & ~(uint32_t)ATTR_SIZE) {
		if (permit(s, &p, ACT_ATTR, false) < 0)
			return;
		cleanup_close int fd = root_openat(&s->root, &p, O_PATH, 0);
		/* O_PATH with O_NOFOLLOW opens a link itself, even where none may be followed. */
		if (fd < 0 || attrs_apply(fd, &a, rules_never_executable(&p)) < 0) {
			answer_errno(s, errno);
			return;
		}
	}
	answer_status(s, FX_OK, "");
}

void op_setstat(struct server *s, struct wire *w)
{
	do_setstat(s, w);
}

void op_lsetstat(struct server *s, struct wire *w)
{
	do_setstat(s, w);
}

static void do_unlink(struct server *s, struct wire *w, enum act act, int flags)
{
	struct fpath p;
	if (take_path(s, w, &p) < 0 || !complete(s, w) || permit(s, &p, act, false) < 0)
		return;
	cleanup_close int dir = root_parent(&s->root, &p);
	answer_rc(s, dir < 0 ? -1 : unlinkat(dir, root_last(&p), flags));
}

void op_remove(struct server *s, struct wire *w)
{
	do_unlink(s, w, ACT_REMOVE, 0);
}

void op_rmdir(struct server *s, struct wire *w)
{
	do_unlink(s, w, ACT_RMDIR, AT_REMOVEDIR);
}

void op_mkdir(struct server *s, struct wire *w)
{
	struct fpath p;
	struct wire_attrs a;
	if (take_path(s, w, &p) < 0)
		return;
	wire_attrs(w, &a);
	if (!complete(s, w) || permit(s, &p, ACT_MKDIR, true) < 0)
		return;
	mode_t mode = a.flags & ATTR_PERMISSIONS ? a.mode & 0777 : 0777;
	cleanup_close int dir = root_parent(&s->root, &p);
	answer_rc(s, dir < 0 ? -1 : mkdirat(dir, root_last(&p), mode));
}

static void answer_name(struct server *s, const char *name, size_t len)
{
	size_t start = put_begin(&s->out, FXP_NAME, s->id);
	put_u32(&s->out, 1);
	put_str(&s->out, name, len);
	put_str(&s->out, name, len);
	put_u32(&s->out, 0); /* no attributes */
	put_end(&s->out, start);
}

/* By its text: "/" and what stands behind. Parents of the folder are the folder. */
void op_realpath(struct server *s, struct wire *w)
{
	struct wire_str text = wire_str(w);
	struct fpath top = {0}, p;
	char in[FPATH_MAX + 1], out[FPATH_MAX + 2];
	if (!complete(s, w))
		return;
	if (text.len > FPATH_MAX || (text.len && memchr(text.p, '\0', text.len))) {
		answer_status(s, FX_FAILURE, "the path is not acceptable");
		return;
	}
	memcpy(in, text.p ? (const char *)text.p : "", text.len);
	in[text.len] = '\0';
	const char *rel = in + strspn(in, "/");
	if (fpath_join(&top, 0, rel, "", &p) < 0) {
		answer_errno(s, ENOENT);
		return;
	}
	out[0] = '/';
	memcpy(out + 1, p.text, strlen(p.text) + 1);
	answer_name(s, out, strlen(out));
}

static void do_rename(struct server *s, struct wire *w, unsigned flags)
{
	struct fpath from, to;
	struct stat st;
	if (take_path(s, w, &from) < 0 || take_path(s, w, &to) < 0 || !complete(s, w))
		return;
	cleanup_close int from_dir = root_parent(&s->root, &from);
	cleanup_close int to_dir = root_parent(&s->root, &to);
	if (from_dir < 0 || to_dir < 0 ||
		fstatat(from_dir, root_last(&from), &st, AT_SYMLINK_NOFOLLOW) < 0) {
		answer_errno(s, errno);
		return;
	}
	bool is_dir = S_ISDIR(st.st_mode);
	int verdict = permit(s, &from, ACT_RENAME_FROM, is_dir);
	if (verdict >= 0)
		verdict = permit(s, &to, ACT_RENAME_TO, is_dir);
	if (verdict < 0)
		return;
	if ((rules_git_at(&from) >= 0 || rules_git_at(&to) >= 0) && !rules_same_git(&from, &to)) {
		answer_refused(s, "rename something to", to.text, "nothing moves into or out of a .git");
		return;
	}
	if (verdict == V_EXISTING && flags != 0) {
		answer_errno(s, EEXIST);
		return;
	}
	if (verdict == V_CONFIG) {
		install_config(s, &from, &to);
		return;
	}
	/* Onto what is there and nothing else: the two change places, then the old one goes. */
	bool existing = verdict == V_EXISTING;
	int rc = renameat2(from_dir, root_last(&from), to_dir, root_last(&to),
		existing ? RENAME_EXCHANGE : flags);
	if (rc == 0 && existing)
		rc = unlinkat(from_dir, root_last(&from), 0);
	answer_rc(s, rc);
}

void op_rename(struct server *s, struct wire *w)
{
	do_rename(s, w, RENAME_NOREPLACE);
}

void op_posix_rename(struct server *s, struct wire *w)
{
	do_rename(s, w, 0);
}

void op_readlink(struct server *s, struct wire *w)
{
	struct fpath p;
	char target[TARGET_MAX + 1];
	if (take_path(s, w, &p) < 0 || !complete(s, w))
		return;
	cleanup_close int dir = root_parent(&s->root, &p);
	ssize_t n = dir < 0 || p.n == 0 ? -1 : readlinkat(dir, root_last(&p), target, sizeof(target));
	if (n < 0)
		answer_errno(s, dir >= 0 && p.n == 0 ? EINVAL : errno);
	else
		answer_name(s, target, (size_t)n);
}

/* OpenSSH's order of arguments, not the draft's: the target comes first. */
void op_symlink(struct server *s, struct wire *w)
{
	struct fpath p;
	char target[TARGET_MAX + 1];
	struct wire_str text = wire_str(w);
	if (take_path(s, w, &p) < 0 || !complete(s, w))
		return;
	if (text.len == 0 || text.len > TARGET_MAX || memchr(text.p, '\0', text.len)) {
		answer_status(s, FX_FAILURE, "the link's target is empty, too long, or holds a NUL");
		return;
	}
	memcpy(target, text.p, text.len);
	target[text.len] = '\0';
	if (!(rules_is_probe(&p, target) && !s->root.read_only) &&
		permit(s, &p, ACT_SYMLINK, false) < 0)
		return;
	cleanup_close int dir = root_parent(&s->root, &p);
	answer_rc(s, dir < 0 ? -1 : symlinkat(target, dir, root_last(&p)));
}

/* git tries a link for each object and renames where there are none: nothing to make a word of. */
static bool link_unsupported(struct server *s, const struct fpath *p)
{
	if (rules_git_at(p) < 0)
		return false;
	answer_status(s, FX_OP_UNSUPPORTED, "no links inside a .git");
	return true;
}

void op_hardlink(struct server *s, struct wire *w)
{
	struct fpath from, to;
	if (take_path(s, w, &from) < 0 || take_path(s, w, &to) < 0 || !complete(s, w) ||
		link_unsupported(s, &from) || link_unsupported(s, &to) ||
		permit(s, &from, ACT_LINK_FROM, false) < 0 || permit(s, &to, ACT_LINK_TO, false) < 0)
		return;
	cleanup_close int from_dir = root_parent(&s->root, &from);
	cleanup_close int to_dir = root_parent(&s->root, &to);
	answer_rc(s, from_dir < 0 || to_dir < 0
			     ? -1
			     : linkat(from_dir, root_last(&from), to_dir, root_last(&to), 0));
}

void op_statvfs(struct server *s, struct wire *w)
{
	struct fpath p;
	if (take_path(s, w, &p) < 0 || !complete(s, w))
		return;
	cleanup_close int fd = root_openat(&s->root, &p, O_PATH, 0);
	if (fd < 0)
		answer_errno(s, errno);
	else
		answer_statvfs(s, fd);
}
