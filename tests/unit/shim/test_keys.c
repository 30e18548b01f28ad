/* SPDX-License-Identifier: ISC */
/* Keys: the encodings by themselves, and the classic ones beside what tmux's send-keys makes. */
#include "place/shim/keys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/proc.h"
#include "base/util.h"
#include "tests/unit/run.h"

#define MARK "|~|"
#define WAIT_MS 20000

struct encoded {
	const char *name, *want;
};

static void check_all(const struct key_modes *m, const struct encoded *all, size_t n)
{
	char out[KEY_BYTES_MAX + 1];

	for (size_t i = 0; i < n; i++) {
		int len = key_encode(all[i].name, m, out);

		ck_assert_msg(len >= 0, "%s is unknown", all[i].name);
		out[len] = '\0';
		ck_assert_msg(strcmp(out, all[i].want) == 0, "%s gives '%s', not '%s'", all[i].name,
			out[0] == '\033' ? out + 1 : out, all[i].want[0] == '\033' ? all[i].want + 1 : all[i].want);
	}
}

START_TEST(keys_by_tmuxs_names)
{
	static const struct encoded plain[] = {{"Enter", "\r"}, {"C-c", "\003"}, {"C-C", "\003"}, {"^D", "\004"},
		{"Escape", "\033"}, {"Up", "\033[A"}, {"M-x", "\033x"}, {"M-C-c", "\033\003"}, {"C-M-c", "\033\003"},
		{"a", "a"}, {"\303\251", "\303\251"}, {"M-\342\202\254", "\033\342\202\254"}, {"C-]", "\035"},
		{"F5", "\033[15~"}, {"Space", " "}, {"-", "-"}, {"^", "^"}, {"S-Tab", "\033[Z"}, {"BTab", "\033[Z"},
		{"S-a", "A"}, {"C-S-a", "\001"}, {"C-M-S-Left", "\033[1;8D"}, {"S-F3", "\033[1;2R"},
		{"C-Delete", "\033[3;5~"}, {"KP5", "5"}, {"KPEnter", "\r"}, {"Home", "\033[H"}, {"M-Enter", "\033\r"}};
	static const struct encoded app[] = {{"Up", "\033OA"}, {"Home", "\033OH"}, {"S-Up", "\033[1;2A"},
		{"KP5", "\033Ou"}, {"KPEnter", "\033OM"}, {"M-KP.", "\033\033On"}, {"F1", "\033OP"}};
	static const char *const unknown[] = {"", "Foo", "C-xy", "ab", "\377", "M-M-x", "\001", "\302\205", "C-M-", "F13x"};
	struct key_modes m = {0};
	char out[KEY_BYTES_MAX];

	check_all(&m, plain, ARRAY_LEN(plain));
	ck_assert_int_eq(key_encode("C-Space", &m, out), 1);
	ck_assert_int_eq(out[0], 0);
	m.cursor_app = m.keypad_app = true;
	check_all(&m, app, ARRAY_LEN(app));
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		ck_assert_msg(key_encode(unknown[i], &m, out) == -1, "%s", unknown[i]);
}
END_TEST

START_TEST(modified_keys_as_xterm_reports_them_to_who_asked)
{
	static const struct encoded one[] = {{"C-c", "\003"}, {"M-x", "\033x"}, {"C-Enter", "\033[27;5;13~"},
		{"S-Enter", "\033[27;2;13~"}, {"C-9", "\033[27;5;57~"}, {"C-S-a", "\033[27;6;65~"}, {"Tab", "\t"},
		{"S-Tab", "\033[Z"}, {"C-Tab", "\033[27;5;9~"}, {"Enter", "\r"}, {"A", "A"}, {"Up", "\033[A"}};
	static const struct encoded two[] = {{"C-c", "\033[27;5;99~"}, {"M-x", "\033[27;3;120~"}, {"x", "x"},
		{"C-i", "\033[27;5;105~"}, {"S-Tab", "\033[27;2;9~"}, {"Enter", "\r"}, {"S-a", "A"},
		{"M-Enter", "\033[27;3;13~"}, {"C-Up", "\033[1;5A"}, {"C-\303\251", "\033[27;5;233~"}};
	struct key_modes m = {.other_keys = 1};

	check_all(&m, one, ARRAY_LEN(one));
	m.other_keys = 2;
	check_all(&m, two, ARRAY_LEN(two));
}
END_TEST

START_TEST(keys_as_kittys_protocol_has_them)
{
	static const struct encoded one[] = {{"Escape", "\033[27u"}, {"C-c", "\033[99;5u"}, {"M-x", "\033[120;3u"},
		{"a", "a"}, {"A", "A"}, {"Enter", "\r"}, {"S-Enter", "\033[13;2u"}, {"Tab", "\t"}, {"S-Tab", "\033[9;2u"},
		{"C-S-a", "\033[97;6u"}, {"C-A", "\033[97;6u"}, {"BSpace", "\177"}, {"C-BSpace", "\033[127;5u"}, {"Up", "\033[A"},
		{"S-Up", "\033[1;2A"}, {"F1", "\033[P"}, {"F3", "\033[13~"}, {"C-F3", "\033[13;5~"}, {"C-Space", "\033[32;5u"},
		{"KP1", "1"}, {"M-\303\251", "\033[233;3u"}};
	static const struct encoded all[] = {{"a", "\033[97u"}, {"A", "\033[97;2u"}, {"Enter", "\033[13u"},
		{"KP1", "\033[57400u"}, {"C-c", "\033[99;5u"}, {"Up", "\033[A"}};
	static const struct encoded text[] = {{"a", "\033[97;;97u"}, {"A", "\033[97:65;2;65u"}, {"Enter", "\033[13u"},
		{"C-a", "\033[97;5u"}};
	struct key_modes m = {.kitty = 1, .cursor_app = true, .other_keys = 2};

	check_all(&m, one, ARRAY_LEN(one));
	m.kitty = 1 | 8;
	check_all(&m, all, ARRAY_LEN(all));
	m.kitty = 1 | 4 | 8 | 16;
	check_all(&m, text, ARRAY_LEN(text));
}
END_TEST

START_TEST(an_unknown_key_is_told_its_nearest)
{
	static const struct encoded all[] = {{"enter", "Enter"}, {"Return", "Enter"}, {"C-Lfet", "Left"}, {"esc", "Escape"},
		{"pageup", "PageUp"}, {"F22", "F2"}, {"Backspace", "BSpace"}, {"spcae", "Space"}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		ck_assert_str_eq(key_nearest(all[i].name), all[i].want);
}
END_TEST

/* --- beside tmux --- */

static char dir[] = "/tmp/tc-keys-XXXXXX";
static int servers; /* each of its own: one that is ending takes connections still */

static void tmux(char *const *more)
{
	cleanup_free char *sock = xasprintf("%s/s%d", dir, servers);
	cleanup_strv char **argv = strv_new();
	const char *const first[] = {"tmux", "-S", sock, "-f", "/dev/null"};
	cleanup_free char *home = xasprintf("HOME=%s", dir);
	cleanup_free char *path = xasprintf("PATH=%s", getenv("PATH"));
	char *env[] = {path, home, (char *)"TERM=xterm-256color", (char *)"LANG=C.UTF-8", NULL};
	struct err e = {0};
	int status;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		strv_push(&argv, first[i]);
	for (; *more; more++)
		strv_push(&argv, *more);
	cleanup_free char *file = proc_which("tmux");
	struct proc_spec spec = {.file = file, .argv = argv, .envp = env};
	ck_assert_msg(proc_spawn(&spec, &pid, &e) == 0, "%s", e.message);
	waitpid(pid, &status, 0);
}

/* What a program in a tmux pane reads when these keys are sent, each followed by MARK. */
static void ask_tmux(const char *modes, const char *const *names, size_t n, struct buf *ret)
{
	cleanup_free char *out = xasprintf("%s/out", dir);
	cleanup_free char *run = xasprintf("stty raw -echo; printf '%s'; printf '%s' > %s; exec cat >> %s", modes, MARK, out, out);
	char *begin[] = {(char *)"new-session", (char *)"-d", (char *)"-s", (char *)"k", (char *)"sh", (char *)"-c", run, NULL};
	char *end[] = {(char *)"kill-server", NULL};
	cleanup_strv char **keys = strv_new();
	size_t marks = 0, i;
	unsigned char piece[4096];
	ssize_t got;

	servers++;
	ck_assert_int_eq(mkfifo(out, 0600), 0);
	int fd = open(out, O_RDWR | O_CLOEXEC); /* writing too: there is no end when the shell opens it anew */
	ck_assert_int_ge(fd, 0);
	tmux(begin);
	for (i = 0; i < n; i++) {
		const char *const words[] = {"send-keys", "-t", "k", names[i], ";", "send-keys", "-t", "k", "-l", MARK, ";"};
		for (size_t k = 0; k < ARRAY_LEN(words); k++)
			strv_push(&keys, words[k]);
	}
	while (marks < n + 1) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "nothing more comes out of tmux: %zu of %zu, %zu bytes", marks, n + 1, ret->len);
		got = read(fd, piece, sizeof(piece));
		ck_assert_int_gt(got, 0);
		buf_append(ret, piece, (size_t)got);
		bool first = marks == 0;
		marks = 0;
		for (i = 0; i + 3 <= ret->len; i++)
			marks += memcmp(buf_data(ret) + i, MARK, 3) == 0;
		if (first && marks) /* the program reads raw */
			tmux(keys);
	}
	buf_consume(ret, strlen(MARK));
	close(fd);
	unlink(out);
	tmux(end);
}

static void compare(const char *modes, const struct key_modes *m, const char *const *names, size_t n)
{
	struct buf seen;
	int differ = 0;

	buf_init(&seen, 65536);
	ask_tmux(modes, names, n, &seen);
	for (size_t i = 0; i < n; i++) {
		const char *p = (const char *)buf_data(&seen), *end = memmem(p, seen.len, MARK, 3);
		char out[KEY_BYTES_MAX];
		int len = key_encode(names[i], m, out);

		if (len != end - p || memcmp(out, p, (size_t)len) != 0) {
			fprintf(stderr, "# %s: tmux sends %d bytes", names[i], (int)(end - p));
			for (; p < end; p++)
				fprintf(stderr, " %02x", (unsigned char)*p);
			fprintf(stderr, ", we %d beginning with %02x\n", len, (unsigned char)out[0]);
			differ++;
			p = (const char *)buf_data(&seen);
		}
		buf_consume(&seen, (size_t)(end - p) + 3);
	}
	buf_finish(&seen);
	ck_assert_int_eq(differ, 0);
}

/*
 * Known differences from tmux (3.3a), each as xterm has it, and our TERM says xterm:
 *   Home, End          tmux: CSI 1 ~ and CSI 4 ~, those of its own TERM
 *   KPEnter            tmux in numeric mode: a newline
 *   C-3 to C-5, C-7, C-8  tmux sends nothing; we ESC to C-_ and DEL
 *   C- of what has no control (C-1, C-=, C-;), C-Enter, C-Tab, S-Enter, S-Space, C-BSpace
 *                      tmux sends nothing, or takes the name for text; we send the plain key
 *   modifyOtherKeys    tmux writes CSI code ; modifiers u in either mode, and of a letter with Ctrl the
 *                      control even in mode 2
 *   kitty's flags      tmux has none
 */
START_TEST(the_classic_encodings_are_those_of_tmux)
{
	static const char *const plain[] = {"a", "Z", "~", "-", "\303\251", "C-a", "C-z", "C-A", "C-Space", "C-@", "C-2",
		"C-6", "C-/", "C-?", "C--", "C-_", "C-]", "C-[", "C-\\", "C-^", "^D", "M-x", "M-X", "M-\303\251",
		"M-C-c", "C-M-c", "M-Tab", "BTab", "Enter", "M-Enter", "Escape", "M-Escape", "Tab", "BSpace", "M-BSpace",
		"Space", "M-Space", "Up", "Down", "Left", "Right", "S-Up", "M-Up", "C-Up", "C-M-S-Left", "C-Home",
		"S-End", "IC", "DC", "C-IC", "PPage", "NPage", "PageUp", "PgDn", "S-PPage", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8",
		"F9", "F10", "F11", "F12", "S-F1", "C-F3", "C-F5", "M-F12", "KP0", "KP5", "KP/", "KP*", "KP-", "KP+", "KP.", "M-KP5"};
	static const char *const app[] = {"Up", "Down", "Left", "Right", "S-Up", "C-M-S-Left", "KP0", "KP1", "KP2", "KP3", "KP4", "KP5",
		"KP6", "KP7", "KP8", "KP9", "KP.", "KP/", "KP*", "KP-", "KP+", "KPEnter", "M-KP5", "F1", "F5", "C-a"};
	struct key_modes m = {0};
	cleanup_free char *program = proc_which("tmux");

	if (!program)
		return; /* configure asks for it; the tests of the tmux room fail then */
	ck_assert_ptr_nonnull(mkdtemp(dir));
	compare("", &m, plain, ARRAY_LEN(plain));
	m.cursor_app = m.keypad_app = true;
	compare("\\033[?1h\\033=", &m, app, ARRAY_LEN(app));
	tree_remove(dir, NULL);
}
END_TEST

TEST_MAIN("shim/keys", keys_by_tmuxs_names, modified_keys_as_xterm_reports_them_to_who_asked, keys_as_kittys_protocol_has_them,
	an_unknown_key_is_told_its_nearest, the_classic_encodings_are_those_of_tmux)
