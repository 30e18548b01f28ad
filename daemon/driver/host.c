/* SPDX-License-Identifier: ISC */
/*
 * The host driver: no isolation. The agent runs as the daemon's user on this machine, with their HOME and
 * login; tmux-claude-guest holds its terminal, as in every place, so that all else is alike.
 */
#include "daemon/driver/drivers.h"

#include <unistd.h>

#include "base/util.h"

#define HOLDER_LINK_FD 10
#define HOST_BOOT_TIMEOUT_MS 10000

static int host_check(const struct driver_env *env, const struct instance *in, struct err *e)
{
	(void)env;
	cleanup_free char *guest = layout_program("tmux-claude-guest", e);
	if (!guest)
		return -1;
	if (access(in->dir, R_OK | X_OK) == 0)
		return 0;
	err_set(e, ERR_DENIED, "the folder %s may not be read by you", in->dir);
	return err_hint(e, "choose a folder of yours with --dir");
}

static void host_make(const struct driver_env *env, struct place *p, const struct instance *in,
	driver_made_fn *done, void *arg)
{
	struct err e = {0};
	(void)in;
	cleanup_free char *guest = layout_program("tmux-claude-guest", &e);
	if (!guest) {
		done(arg, NULL, &e);
		return;
	}
	cleanup_free char *dir = place_dir(env->layout, p->id);
	json_t *place = place_json_new(env, p);
	json_t *argv = json_pack("[s, s, s, s, s, s, s]", guest, "--listen", "10", "--place", p->id,
		"--run-dir", dir);
	json_object_set_new(place, "holder",
		json_pack("{s:o, s:o, s:s, s:[o], s:i, s:i}", "argv", argv, "env", holder_env(), "cwd", "/",
			"fds", place_json_fd(HOLDER_LINK_FD, "link.sock", "listen"), "uid", -1, "gid",
			-1));
	json_object_set_new(place, "boot_timeout_ms", json_integer(HOST_BOOT_TIMEOUT_MS));
	done(arg, place, NULL);
}

static const char *host_guest_program(const struct driver_env *env)
{
	static char *path; /* looked for once: it stays where it is installed */
	(void)env;
	if (!path)
		path = layout_program("tmux-claude-guest", NULL);
	return path ? path : "tmux-claude-guest";
}

static const char *host_run_dir(const struct driver_env *env, const struct place *p, char *out,
	size_t size)
{
	/* The place's folder itself: a socket below it would pass the limit of a path the sooner. */
	cleanup_free char *dir = place_dir(env->layout, p->id);
	return str_fmt(out, size, "%s", dir) ? NULL : out;
}

const struct driver driver_host = {
	.name = "host",
	.summary = "on this machine as you, with no isolation",
	/* Shim, guest program, view and the agent's own; a terminal in the place, one of tmux. */
	.need = {.weight = 1, .memory_mib = 64, .disk_mib = 2, .ptys = 2, .fds = 4, .files = 64, .tasks = 24},
	.check = host_check,
	.make = host_make,
	.guest_program = host_guest_program,
	.run_dir = host_run_dir,
};
