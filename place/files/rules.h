/* SPDX-License-Identifier: ISC */
/*
 * Which changes a place may make. Pure: what must be known of the disk comes in as facts.
 *
 * Everything may be read. What git would run on the host when the user works in the folder later may not be
 * changed, wherever in the tree it stands:
 *
 * - `.git` (in any letter case) is made only as an empty folder or as a checked .git file; nothing is
 *   renamed or linked to that name, or away from it.
 * - Below a .git folder: config and config.worktree are installed only by renaming a checked file to them
 *   (what git does: config.lock); hooks/ takes samples (NAME.sample) alone; commondir says "../..";
 *   nothing is linked, and renames stay inside the one .git. Below any hooks no file is executable.
 * - Elsewhere no file named HEAD is made: without one a folder is no repository to git. Folders that have
 *   one already (bare repositories) are held as .git is.
 * - Protected paths: where the repository's own configuration has its hooks and includes.
 */
#ifndef FILES_RULES_H
#define FILES_RULES_H

#include <stdbool.h>

#include "place/files/fpath.h"

enum act {
	ACT_WRITE,       /* open for writing, creating it or not */
	ACT_TRUNCATE,    /* setstat size, by path or handle */
	ACT_ATTR,        /* mode, times */
	ACT_MKDIR,
	ACT_RMDIR,
	ACT_REMOVE,
	ACT_RENAME_FROM,
	ACT_RENAME_TO,
	ACT_SYMLINK,
	ACT_LINK_FROM,
	ACT_LINK_TO,
};

/* Files of our own begin so; no client touches them. */
#define RULES_OURS ".tmux-claude-"

struct facts {
	bool exists;       /* the path's last component */
	bool parent_head;  /* the folder it stands in has a HEAD */
	bool above_hooks;  /* it stands below a folder hooks beside a HEAD */
	bool is_dir;       /* renames: what is moved is a folder */
	bool fold;         /* the file system takes names in any letter case */
	const struct fpath *protected; /* paths */
	size_t n_protected;
};

enum verdict {
	V_LET,
	V_REFUSE,
	V_GITFILE,   /* let, its content checked as a .git file's */
	V_COMMONDIR, /* let, its content checked */
	V_REFLOG,    /* let, its content checked as a reflog's */
	V_CONFIG,    /* rename: let as a checked copy */
	V_EXISTING,  /* let if it is there: never made by this */
};

/* why (of V_REFUSE) is static. */
enum verdict rules_judge(const struct fpath *p, enum act act, const struct facts *f,
	const char **why);
/* Two ends of a rename or link that are each let: may they go together? */
bool rules_same_git(const struct fpath *from, const struct fpath *to);
/* The index of the first component that is .git, or -1. */
int rules_git_at(const struct fpath *p);
/* `git init` tries whether links work, by a tXXXXXX to "testing" in the new .git (or in .git/modules/NAME): the
 * one link let inside. It names nothing that git reads, and cannot be renamed to anything that does. */
bool rules_is_probe(const struct fpath *p, const char *target);
/* Files below any hooks in a .git: git ignores hooks that are not executable. */
bool rules_never_executable(const struct fpath *p);
/* Asks which facts matter, to save looking: is the last component one that depends on a HEAD beside it? */
bool rules_wants_head(const struct fpath *p, bool fold);

#endif
