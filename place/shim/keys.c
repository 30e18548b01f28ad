/* SPDX-License-Identifier: ISC */
/* The bytes that keys send, by the names tmux gives them. */
#include <string.h>

#include "base/util.h"
#include "place/shim/input.h"

static const struct {
	const char *name, *bytes, *app; /* app: in application mode, when that differs */
} keys[] = {
	{"Enter", "\r", NULL},
	{"Escape", "\033", NULL},
	{"Tab", "\t", NULL},
	{"BTab", "\033[Z", NULL},
	{"BSpace", "\177", NULL},
	{"Space", " ", NULL},
	{"Up", "\033[A", "\033OA"},
	{"Down", "\033[B", "\033OB"},
	{"Right", "\033[C", "\033OC"},
	{"Left", "\033[D", "\033OD"},
	{"Home", "\033[H", "\033OH"},
	{"End", "\033[F", "\033OF"},
	{"IC", "\033[2~", NULL},
	{"Insert", "\033[2~", NULL},
	{"DC", "\033[3~", NULL},
	{"Delete", "\033[3~", NULL},
	{"PPage", "\033[5~", NULL},
	{"PageUp", "\033[5~", NULL},
	{"NPage", "\033[6~", NULL},
	{"PageDown", "\033[6~", NULL},
	{"F1", "\033OP", NULL},
	{"F2", "\033OQ", NULL},
	{"F3", "\033OR", NULL},
	{"F4", "\033OS", NULL},
	{"F5", "\033[15~", NULL},
	{"F6", "\033[17~", NULL},
	{"F7", "\033[18~", NULL},
	{"F8", "\033[19~", NULL},
	{"F9", "\033[20~", NULL},
	{"F10", "\033[21~", NULL},
	{"F11", "\033[23~", NULL},
	{"F12", "\033[24~", NULL},
};

/* One character: ASCII or a whole UTF-8 sequence. */
static int one_character(const char *name, char *out)
{
	size_t len = strlen(name), i;

	if (len == 0 || len > 4 || !utf8_valid(name, len) || (unsigned char)name[0] < 0x20)
		return -1;
	for (i = 1; i < len; i++)
		if (((unsigned char)name[i] & 0xc0) != 0x80)
			return -1;
	memcpy(out, name, len);
	return (int)len;
}

static int control(const char *name, char *out)
{
	char c = name[0];

	if (strcmp(name, "Space") == 0)
		c = '@';
	else if (c == '\0' || name[1] != '\0')
		return -1;
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == '?')
		*out = 0x7f;
	else if (c >= '@' && c <= '_')
		*out = (char)(c & 0x1f);
	else
		return -1;
	return 1;
}

int input_key(const char *name, bool app, char out[INPUT_KEY_MAX])
{
	int n;
	size_t i;

	if (str_starts(name, "M-") && name[2]) {
		n = input_key(name + 2, app, out);
		if (n < 0 || n + 1 > INPUT_KEY_MAX || str_starts(name + 2, "M-"))
			return -1;
		memmove(out + 1, out, (size_t)n);
		out[0] = '\033';
		return n + 1;
	}
	if ((str_starts(name, "C-") && name[2]) || (name[0] == '^' && name[1]))
		return control(name + (name[0] == '^' ? 1 : 2), out);
	for (i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) == 0) {
			const char *bytes = app && keys[i].app ? keys[i].app : keys[i].bytes;

			n = (int)strlen(bytes);
			memcpy(out, bytes, (size_t)n);
			return n;
		}
	}
	return one_character(name, out);
}
