/* SPDX-License-Identifier: ISC */
/* Where everything stands on disk: see ARCHITECTURE.md, "Folders". */
#ifndef IPC_LAYOUT_H
#define IPC_LAYOUT_H

#include <sys/types.h>

#include "base/err.h"

/* What the daemon ends with when another runs on the home, or somebody still listens on its socket. */
#define DAEMON_EXIT_OCCUPIED 75

/* All strings owned; release with layout_finish. Nothing is created by layout_init. */
struct layout {
	char *home;         /* TMUX_CLAUDE_HOME, or NULL */
	char *config_file;  /* .../config */
	char *login_file;   /* .../credentials */
	char *state_dir;
	char *db_file;
	char *lock_file;
	char *log_file;
	char *places_dir;     /* state/p */
	char *recordings_dir; /* state/r */
	char *tmux_dir;       /* state/t */
	char *egress_socket;
	char *template_dir; /* before the config's template_dir is applied */
	char *runtime_dir;
	char *daemon_socket;
};

/* From the environment. Fails when HOME is needed and unset, or when a socket path below would pass
 * 107 bytes (ERR_LIMIT, saying which path and what to set). */
int layout_init(struct layout *l, struct err *e);
void layout_finish(struct layout *l);
/* Makes the state and runtime folders, 0700; refuses a runtime folder that is not ours or is open to
 * others (/tmp/tmux-claude-UID is made by whoever comes first). */
int layout_make(const struct layout *l, struct err *e);
/* That path is a folder, ours, and closed to others; ERR_DENIED otherwise. */
int layout_check_private(const char *path, struct err *e);
/* Where our own programs stand: beside the running one in a build tree (TMUX_CLAUDE_LIBEXEC when set),
 * else the installed libexec folder. Owned path of "tmux-claude-shim" and so on, checked executable. */
char *layout_program(const char *name, struct err *e);
/* A data file of ours (recipes, build-template): TMUX_CLAUDE_DATA, the installed folder, or the source tree of a
 * build tree. Owned; NULL with the reason when absent. */
char *layout_data(const char *name, struct err *e);

#endif
