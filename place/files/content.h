/* SPDX-License-Identifier: ISC */
/*
 * What may stand in the few files that steer git on the host. Pure. git runs commands that its
 * configuration names, and finds its configuration through .git files; so a place may write these files
 * only with content that names no command and leads nowhere new.
 */
#ifndef FILES_CONTENT_H
#define FILES_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "place/files/fpath.h"

#define CONTENT_MAX (256 * 1024) /* of a configuration file */

/*
 * A configuration that a place wants where `old` stands (may be empty); what may be installed is
 * appended to out. Every setting of `text` must be one that runs nothing (a fixed list: see content.c), or
 * stand in `old` already, word for word. The URLs of remotes that stand in `old` must stay: where the user
 * pushes to is not a place's to say. A new core.worktree is left out: git finds a submodule's worktree by
 * its .git file, and a link that later takes the worktree's place would lead git out of the folder.
 * Only a plain subset of the syntax is read: a section or a setting a line, no continuation lines.
 * ERR_DENIED names the line.
 */
int content_config(const char *text, size_t len, const char *old, size_t old_len, struct buf *out,
	struct err *e);
/* A reference: 40 or 64 hex digits, or "ref: refs/...", and a newline. Not a configuration to git. */
bool content_is_ref(const char *text, size_t len);
/* What starts like a line of a reflog: such a file is no configuration to git, whatever follows. */
#define CONTENT_REFLOG_HEAD 41
bool content_is_reflog(const char *text, size_t len);
/* A .git file in the folder of p's first n components: "gitdir: PATH" leading to PATH/.git/modules/...
 * or PATH/.git/worktrees/NAME inside the served folder, by a path with ".." at its front only. */
int content_gitfile(const char *text, size_t len, const struct fpath *p, size_t n, const char *root,
	struct err *e);
/* commondir of a worktree: "../..". */
bool content_is_commondir(const char *text, size_t len);

/* Calls fn with each value of core.hooksPath, include.path and includeIf.*.path of a configuration:
 * folders and files that git runs or reads as configuration. Lenient: what it cannot read it skips. */
void content_config_paths(const char *text, size_t len, void (*fn)(void *arg, const char *path),
	void *arg);

#endif
