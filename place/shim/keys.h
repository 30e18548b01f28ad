/* SPDX-License-Identifier: ISC */
/*
 * The bytes that keys send, in the encoding that the program asked for.
 *
 * Names are tmux's: one character, or one of the table ("Enter", "Up", "F5", "KP0"), with any of C-, M-, S-
 * (or ^) before it. Where a program asked for nothing, the bytes are those of xterm: what tmux's own
 * send-keys makes (tests/unit/shim/test_keys.c compares the two and lists where we differ).
 *   application cursor keys, keypad   ESC O letter instead of CSI letter; of the keypad, ESC O p to ESC O y
 *   modifyOtherKeys (CSI > 4 ; N m)   1: keys that otherwise have no bytes of their own; 2: every modified
 *                                     key: CSI 27 ; modifiers ; code ~
 *   kitty's flags (CSI > N u)         1: what would be ambiguous, as CSI code ; modifiers u; 8: every key;
 *                                     4 and 16 (with 8): the shifted code and the text as well. Releases
 *                                     are never sent.
 */
#ifndef SHIM_KEYS_H
#define SHIM_KEYS_H

#include <stdbool.h>

#define KEY_BYTES_MAX 48

struct modes;

struct key_modes {
	bool cursor_app, keypad_app;
	unsigned other_keys, kitty;
};

void key_modes_of(const struct modes *m, struct key_modes *ret);
/* The bytes of a key, not terminated; returns their number, or -1 when the name is unknown. */
int key_encode(const char *name, const struct key_modes *m, char out[KEY_BYTES_MAX]);
/* The name in the table that comes nearest to an unknown one (its modifiers aside). */
const char *key_nearest(const char *name);

#endif
