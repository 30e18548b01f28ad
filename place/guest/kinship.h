/* SPDX-License-Identifier: ISC */
/* Whether a process is of this place. */
#ifndef PLACE_GUEST_KINSHIP_H
#define PLACE_GUEST_KINSHIP_H

#include <stdbool.h>
#include <sys/socket.h>

/* Who is at the other end of a unix socket, and is that one of ours: does it descend from us, with no other
 * place's guest program in between? On a host only; *ret is filled as far as it is known. */
bool kinship_peer(int fd, struct ucred *ret);
/* The same of a process. */
bool kinship_ours(pid_t pid);

#endif
