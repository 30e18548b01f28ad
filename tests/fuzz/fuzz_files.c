/* SPDX-License-Identifier: ISC */
/*
 * Fuzzes the file server: packets made of the input, against a folder with a repository beside a secret. After each
 * input the secret is as it was, and git's configuration and hooks name no command.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "place/files/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define SECRET "secret"
#define CONFIG "[core]\n\tbare = false\n"

static char top[64], root[128], path[8][192];

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void clean(void)
{
	tree_remove(top, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* In memory when there is one: it makes files all day. */
	strcpy(top, access("/dev/shm", W_OK) == 0 ? "/dev/shm/tc-fuzz-XXXXXX" : "/tmp/tc-fuzz-XXXXXX");
	if (!mkdtemp(top))
		abort();
	atexit(clean);
	log_open("fuzz", LOG_LEVEL_ERROR);
	str_fmt(root, sizeof(root), "%s/root", top);
	static const char *const names[] = {"secret", "root/.git/config", "root/.git/hooks/x", "root/.git/HEAD",
		"root/.bare/HEAD", "root/.bare/config", "root/link", "root/.git/refs"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		str_fmt(path[i], sizeof(path[i]), "%s/%s", top, names[i]);
	return 0;
}

static void prepare(void)
{
	char dir[192];
	static const char *const dirs[] = {"root/.git/hooks", "root/.git/refs", "root/.bare/hooks", "root/d"};
	/* Made again only when the last input reached it: that is rare. */
	if (access(path[3], F_OK) < 0 || access(path[4], F_OK) < 0)
		tree_remove(root, NULL);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		str_fmt(dir, sizeof(dir), "%s/%s", top, dirs[i]);
		if (dir_make(dir, 0700, NULL) < 0) {
			tree_remove(root, NULL);
			if (dir_make(dir, 0700, NULL) < 0)
				abort();
			i = (size_t)-1;
		}
	}
	/* What an input may have put in their places. */
	for (size_t i = 0; i < 6; i++) {
		struct stat st;
		if (lstat(path[i], &st) == 0 && !S_ISREG(st.st_mode))
			tree_remove(path[i], NULL);
	}
	chmod(path[1], 0600);
	put(path[0], SECRET);
	put(path[1], CONFIG);
	put(path[3], "ref: refs/heads/x\n");
	put(path[4], "ref: refs/heads/x\n");
	put(path[5], CONFIG);
	unlink(path[6]);
	if (symlink("../secret", path[6]) < 0 && unlink(path[6]) < 0)
		tree_remove(path[6], NULL);
}

static void holds(const char *name, const char *want, const char *never)
{
	cleanup_free char *text = NULL;
	if (file_read(name, 1 << 20, &text, NULL, NULL) < 0)
		return;
	if ((want && strcmp(text, want) != 0) || (never && strcasestr(text, never)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct server s;
	struct err e = {0};
	static const unsigned char hello[] = {0, 0, 0, 5, FXP_INIT, 0, 0, 0, 3};
	prepare();
	server_init(&s);
	if (root_open(&s.root, root, false, &e) < 0)
		abort();
	buf_append(&s.in, hello, sizeof(hello));
	/* The input's own lengths would rarely fit: each packet is one byte of length and that many bytes. */
	for (size_t i = 0; i + 1 < size;) {
		size_t left = size - ++i, len = data[i - 1] + 1u;
		len = len < left ? len : left;
		unsigned char head[4] = {0, 0, (unsigned char)(len >> 8), (unsigned char)len};
		if (buf_append(&s.in, head, 4) < 0 || buf_append(&s.in, data + i, len) < 0)
			break;
		i += len;
	}
	while (server_handle(&s, &e) == 0 && s.out.len >= OUT_FLUSH)
		buf_clear(&s.out);
	server_finish(&s);
	holds(path[0], SECRET, NULL);
	holds(path[1], NULL, "fsmonitor");
	holds(path[5], NULL, "fsmonitor");
	if (access(path[2], F_OK) == 0)
		abort();
	return 0;
}
