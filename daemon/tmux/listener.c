/* SPDX-License-Identifier: ISC */
/*
 * A connection tells its peer (SO_PEERCRED), but a server that has been stopped for long has a queue full of
 * those who tried, and takes no more: then the socket's inode is looked up, and who has it open.
 */
#include "daemon/tmux/listener.h"

#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"

#define LISTENS 0x10000u /* __SO_ACCEPTCON in /proc/net/unix */

/* The inode of the socket that listens under this name; 0: none. */
static uint64_t inode_of(const char *socket)
{
	FILE *f = fopen("/proc/net/unix", "re");
	uint64_t inode, found = 0;
	char line[512];
	unsigned flags;
	int at;

	while (f != NULL && found == 0 && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %*s %*s %x %*s %*s %" SCNu64 " %n", &flags, &inode, &at) == 2 &&
			(flags & LISTENS) != 0 && strcmp(line + at, socket) == 0)
			found = inode;
	}
	if (f != NULL)
		fclose(f);
	return found;
}

static bool has_open(const char *pid, const char *link)
{
	cleanup_free char *folder = xasprintf("/proc/%s/fd", pid);
	DIR *d = opendir(folder);
	struct dirent *de;
	char to[64];
	bool found = false;

	while (d != NULL && !found && (de = readdir(d)) != NULL) {
		ssize_t n = readlinkat(dirfd(d), de->d_name, to, sizeof(to) - 1);

		to[n > 0 ? n : 0] = '\0';
		found = strcmp(to, link) == 0;
	}
	if (d != NULL)
		closedir(d);
	return found;
}

/* Only our own are looked into: a daemon of root's would find, and kill, anybody's. */
static bool is_ours(int proc, const char *pid)
{
	struct stat st;

	return fstatat(proc, pid, &st, 0) == 0 && st.st_uid == geteuid();
}

static pid_t owner_of(uint64_t inode)
{
	cleanup_free char *link = xasprintf("socket:[%" PRIu64 "]", inode);
	DIR *d = opendir("/proc");
	struct dirent *de;
	int64_t pid = 0, v;

	while (d != NULL && pid == 0 && (de = readdir(d)) != NULL)
		if (str_to_i64(de->d_name, 1, INT32_MAX, &v) == 0 && is_ours(dirfd(d), de->d_name) &&
			has_open(de->d_name, link))
			pid = v;
	if (d != NULL)
		closedir(d);
	return (pid_t)pid;
}

pid_t tmux_listener(const char *socket)
{
	cleanup_close int fd = -1;
	struct ucred cred;
	struct err e = {0};
	uint64_t inode;

	if (sock_connect(socket, &fd, &e) < 0) {
		inode = e.code == ERR_BUSY ? inode_of(socket) : 0;
		return inode != 0 ? owner_of(inode) : 0;
	}
	return sock_peer(fd, &cred, NULL) == 0 && cred.uid == geteuid() ? cred.pid : 0;
}
