/* SPDX-License-Identifier: ISC */
/*
 * What our tmux servers are given instead of libutempter (LD_PRELOAD, see shard.h): nothing is written
 * into utmp and wtmp, and no helper is started for it.
 *
 * tmux built with that library forks and waits for its setgid helper at each pane's start and end, under
 * a SIGCHLD handler that is not tmux's own: two thirds of what a pane costs, 2 ms in which the
 * server serves nobody, children's ends missed (tmux issue 311), and a row in `who` per agent. There
 * is no option against it. The names and types are those of utempter(3); a tmux without the library
 * never calls them.
 */

int utempter_add_record(int master_fd, const char *hostname);
int utempter_remove_record(int master_fd);

int utempter_add_record(int master_fd, const char *hostname)
{
	(void)master_fd;
	(void)hostname;
	return 1;
}

int utempter_remove_record(int master_fd)
{
	(void)master_fd;
	return 1;
}
