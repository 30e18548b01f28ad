/* SPDX-License-Identifier: ISC */
/* The terminals of people who look at agents. */
#ifndef DAEMON_TMUX_RING_H
#define DAEMON_TMUX_RING_H

#include "daemon/tmux/pane.h"

/* Asks every server that answers for the terminals of its clients, and calls fn with the path of each, later; then done
 * with arg, once. What a server does not answer is left out. */
void tmux_pool_terminals(struct tmux_pool *p, void (*fn)(void *arg, const char *tty), void *arg, void (*done)(void *arg));

#endif
