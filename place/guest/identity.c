/* SPDX-License-Identifier: ISC */
/* Who a machine is: its name, time, randomness and its user. */
#include "place/guest/init.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"

#define ETC_FILE_MAX (256 * 1024)
#define USER_NAME_MAX 32
#define ENTROPY_MAX 512

int guest_set_hostname(const char *name, struct err *e)
{
	size_t n = strlen(name);
	cleanup_free char *hosts = NULL, *line = NULL;

	if (n == 0 || n > GUEST_HOSTNAME_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != n)
		return err_set(e, ERR_PARAMS, "'%s' cannot be a machine's name", name);
	if (sethostname(name, n) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot name the machine");
	hosts = xasprintf("127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost\n", name);
	line = xasprintf("%s\n", name);
	if (file_write_atomic("/etc/hosts", hosts, strlen(hosts), 0644, e) < 0)
		return -1;
	return file_write_atomic("/etc/hostname", line, strlen(line), 0644, e);
}

int guest_set_time(int64_t wall_ms, struct err *e)
{
	struct timespec ts = { wall_ms / 1000, wall_ms % 1000 * 1000000 };

	if (wall_ms <= 0 || clock_settime(CLOCK_REALTIME, &ts) < 0)
		return err_set_errno(e, ERR_FAILED, wall_ms <= 0 ? EINVAL : errno,
			"cannot set the machine's clock");
	return 0;
}

int guest_add_entropy(const void *data, size_t len, struct err *e)
{
	uint32_t raw[(sizeof(struct rand_pool_info) + ENTROPY_MAX) / sizeof(uint32_t)];
	struct rand_pool_info *in = (struct rand_pool_info *)raw;
	cleanup_close int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	int r;

	if (len == 0 || len > ENTROPY_MAX)
		return err_set(e, ERR_LIMIT, "between 1 and %d bytes of entropy, not %zu", ENTROPY_MAX, len);
	in->entropy_count = (int)len * 8;
	in->buf_size = (int)len;
	memcpy(in->buf, data, len);
	r = fd < 0 ? -1 : ioctl(fd, RNDADDENTROPY, in);
	if (r == 0)
		r = ioctl(fd, RNDRESEEDCRNG);
	explicit_bzero(raw, sizeof(raw));
	if (r < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot add to the kernel's entropy");
	return 0;
}

int guest_new_machine_id(struct err *e)
{
	unsigned char raw[16];
	char text[34];

	random_bytes(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(text + 2 * i, 3, "%02x", raw[i]);
	memcpy(text + 32, "\n", 2);
	return file_write_atomic("/etc/machine-id", text, 33, 0444, e);
}

static bool user_name_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= USER_NAME_MAX && (islower((unsigned char)s[0]) || s[0] == '_') &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* Puts `line` where the file had one for `name`, behind its first line (root's) when it had none:
 * the first name of a uid is the one that programs show. */
static int etc_line_set(const char *root, const char *file, const char *name, const char *line,
	mode_t mode, struct err *e)
{
	cleanup_free char *path = xasprintf("%s/etc/%s", root, file);
	cleanup_free char *text = NULL;
	size_t len, n = strlen(name);
	char *save = NULL;
	struct buf out;
	bool first = true;
	int r;

	if (file_read(path, ETC_FILE_MAX, &text, &len, e) < 0)
		return -1;
	buf_init(&out, 2 * ETC_FILE_MAX);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (strncmp(l, name, n) != 0 || l[n] != ':')
			buf_printf(&out, "%s\n", l);
		if (first)
			buf_printf(&out, "%s\n", line);
		first = false;
	}
	if (first)
		buf_printf(&out, "%s\n", line);
	r = file_write_atomic(path, buf_data(&out), out.len, mode, e);
	buf_finish(&out);
	return r;
}

static int home_hand_over(const char *home, uid_t uid, gid_t gid, struct err *e)
{
	char *const roots[] = { (char *)home, NULL };
	struct stat st;
	FTSENT *f;
	int bad = 0;

	if (stat(home, &st) == 0 && st.st_uid == uid && st.st_gid == gid)
		return 0;
	if (dir_make(home, 0755, e) < 0)
		return -1;
	/* FTS_XDEV: a project mounted below the home is not ours to give away. */
	FTS *t = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	while (t && (f = fts_read(t)))
		if (f->fts_info != FTS_DP && lchown(f->fts_accpath, uid, gid) < 0)
			bad = errno;
	if (t)
		fts_close(t);
	if (!t || bad)
		return err_set_errno(e, ERR_IO, bad ? bad : errno, "cannot hand %s to uid %u", home, uid);
	return 0;
}

int guest_set_user(const char *root, const struct guest_user *u, struct err *e)
{
	if (!user_name_ok(u->name) || u->uid == 0 || u->gid == 0 || u->uid == (uid_t)-1 ||
		u->gid == (gid_t)-1)
		return err_set(e, ERR_PARAMS, "'%s' with uid %u and gid %u cannot be the machine's user",
			u->name, u->uid, u->gid);
	if (u->home[0] != '/' || strpbrk(u->home, ":\n") || (u->shell && strpbrk(u->shell, ":\n")))
		return err_set(e, ERR_PARAMS, "'%s' cannot be a user's home", u->home);

	cleanup_free char *pw = xasprintf("%s:x:%u:%u::%s:%s", u->name, u->uid, u->gid, u->home,
		u->shell ? u->shell : "/bin/bash");
	cleanup_free char *gr = xasprintf("%s:x:%u:", u->name, u->gid);
	cleanup_free char *sh = xasprintf("%s:*:20000:0:99999:7:::", u->name);
	cleanup_free char *home = xasprintf("%s%s", root, u->home);

	if (etc_line_set(root, "passwd", u->name, pw, 0644, e) < 0 ||
		etc_line_set(root, "group", u->name, gr, 0644, e) < 0 ||
		etc_line_set(root, "shadow", u->name, sh, 0640, e) < 0)
		return -1;
	return home_hand_over(home, u->uid, u->gid, e);
}
