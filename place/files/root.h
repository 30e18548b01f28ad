/* SPDX-License-Identifier: ISC */
/*
 * The served folder. Every operation works on a descriptor of the parent folder and a last component:
 * the parent is opened by openat2 beneath the folder's own descriptor, through no symbolic link of any
 * kind, so that no name, link or race leads out; the last component is never followed.
 */
#ifndef FILES_ROOT_H
#define FILES_ROOT_H

#include <sys/stat.h>

#include "base/err.h"
#include "place/files/fpath.h"
#include "place/files/rules.h"

#define PROTECTED_MAX 16

struct root {
	int fd;
	char path[FPATH_MAX + 1]; /* its real path, for what git writes with full paths */
	bool read_only;
	bool fold;
	struct fpath protected[PROTECTED_MAX];
	size_t n_protected;
};

/* Opens path (a folder) and learns what its configuration protects. */
int root_open(struct root *r, const char *path, bool read_only, struct err *e);
void root_close(struct root *r);
/* The folder in which p's last component stands (the folder itself for p->n <= 1), as O_PATH. -1 with
 * errno. */
int root_parent(const struct root *r, const struct fpath *p);
/* Opens p itself beneath the folder. flags as open(2); links are never followed. -1 with errno. */
int root_openat(const struct root *r, const struct fpath *p, int flags, mode_t mode);
/* lstat of p. 0, or -1 with errno. */
int root_lstat(const struct root *r, const struct fpath *p, struct stat *st);
/* The last component for the *at calls; "." for the folder itself. */
const char *root_last(const struct fpath *p);
/* Judges an act with the facts of the disk. */
enum verdict root_judge(const struct root *r, const struct fpath *p, enum act act, bool is_dir,
	const char **why);

#endif
