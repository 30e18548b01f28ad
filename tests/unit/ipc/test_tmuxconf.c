/* SPDX-License-Identifier: ISC */
/* What is taken of a person's tmux configuration, and above all what is not. */
#include "ipc/tmuxconf.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct tmuxconf conf;

static void parse(const char *text)
{
	tmuxconf_finish(&conf);
	tmuxconf_parse(text, strlen(text), &conf);
}

static void teardown(void)
{
	tmuxconf_finish(&conf);
}

/* The command as one line, words parted by '|'. */
static char *joined(size_t i)
{
	char *all = xstrdup("");

	for (char **w = conf.commands[i]; *w; w++) {
		char *more = xasprintf("%s%s%s", all, *all ? "|" : "", *w);

		free(all);
		all = more;
	}
	return all;
}

static void takes(const char *text, const char *want)
{
	parse(text);
	ck_assert_msg(conf.ncommands == 1 && conf.nleft == 0, "%s: %zu taken, %zu left (%s)", text, conf.ncommands,
		conf.nleft, conf.nleft ? conf.left[0].why : "");
	cleanup_free char *got = joined(0);
	ck_assert_str_eq(got, want);
}

static void leaves(const char *text)
{
	parse(text);
	ck_assert_msg(conf.ncommands == 0, "%s: taken", text);
	ck_assert_msg(conf.nleft >= 1, "%s: neither taken nor left", text);
	ck_assert_str_ne(conf.left[0].why, "");
}

START_TEST(options_are_taken_in_their_form)
{
	takes("set -g prefix C-a", "set-option|-gq|prefix|C-a");
	takes("set-option -g prefix2 None\n", "set-option|-gq|prefix2|None");
	takes("  setw -g mode-keys vi # like home", "set-option|-gwq|mode-keys|vi");
	takes("set -g status-position \"top\"", "set-option|-gq|status-position|top");
	takes("set -g status-style 'bg=#1e2030,fg=colour7 bold'", "set-option|-gq|status-style|bg=#1e2030,fg=colour7 bold");
	takes("set -g mouse on", "set-option|-gq|mouse|on");
	takes("set -sg escape-time 0", "set-option|-sq|escape-time|0");
	takes("set -as terminal-features ',xterm-256color:RGB'", "set-option|-asq|terminal-features|,xterm-256color:RGB");
	takes("set -s set-clipboard external", "set-option|-sq|set-clipboard|external");
	takes("set -g \\\n  base-index 1", "set-option|-gq|base-index|1");
}
END_TEST

START_TEST(values_of_another_form_are_left)
{
	leaves("set -g prefix 'run-shell x'");
	leaves("set -g mode-keys emacs2");
	leaves("set -g mode-keys 'vi emacs'");
	leaves("set -g mode-keys ''");
	leaves("set -g mouse");
	leaves("set -g base-index -1");
	leaves("set -g base-index 1001");
	leaves("set -g status-style 'bg=#(touch /tmp/x)'");
	leaves("set -g status-style '#[fg=red]'");
	leaves("set -g status-style 'bg=#{?client_prefix,red,blue}'");
	leaves("set -g word-separators '#(id)'");
	leaves("set -s set-clipboard on");
	leaves("set -as terminal-overrides ',xterm*:smcup=\\033[?1049h'");
	leaves("set -gF mouse on");
	leaves("set -t x mouse on");
	leaves("set -g status-right 'anything'");
	leaves("set -g default-command 'sh'");
	leaves("set -g default-shell /bin/sh");
	leaves("set -g update-environment DISPLAY");
	leaves("set -s command-alias[0] x=run-shell");
	leaves("set -s user-keys[0] x");
	leaves("set -g @plugin tpm");
}
END_TEST

START_TEST(bindings_that_only_move_and_look_are_taken)
{
	takes("bind h select-pane -L", "bind-key|h|select-pane|-L");
	takes("bind-key -r H resize-pane -L 5", "bind-key|-r|H|resize-pane|-L|5");
	takes("bind -n M-Left select-pane -L", "bind-key|-n|M-Left|select-pane|-L");
	takes("bind -T copy-mode-vi v send -X begin-selection", "bind-key|-T|copy-mode-vi|v|send|-X|begin-selection");
	takes("bind -T copy-mode-vi WheelUpPane send-keys -X -N 3 scroll-up",
		"bind-key|-T|copy-mode-vi|WheelUpPane|send-keys|-X|-N|3|scroll-up");
	takes("bind C-a send-prefix", "bind-key|C-a|send-prefix");
	takes("bind | split-window -h", "bind-key|||split-window|-h");
	takes("bind -N 'go left' h select-pane -L", "bind-key|h|select-pane|-L");
	takes("bind 1 select-window -t :=1", "bind-key|1|select-window|-t|:=1");
	takes("unbind C-b", "unbind-key|C-b");
	takes("bind \\; last-pane", "bind-key|;|last-pane");
}
END_TEST

START_TEST(bindings_that_could_do_anything_are_left)
{
	leaves("bind r source-file ~/.tmux.conf");
	leaves("bind x run-shell 'rm -rf /'");
	leaves("bind x if-shell true 'run x'");
	leaves("bind x split-window -h 'rm -rf /'");
	leaves("bind x split-window rm");
	leaves("bind x new-window -c '#{pane_current_path}'");
	leaves("bind x select-pane -L \\; run-shell x");
	leaves("bind x { run-shell x }");
	leaves("bind -T copy-mode-vi y send -X copy-pipe-and-cancel 'xclip'");
	leaves("bind -T copy-mode-vi y send -X copy-selection 'xclip'");
	leaves("bind x send-keys 'rm -rf /' Enter");
	leaves("bind x send-keys -t other -X cancel");
	leaves("bind x command-prompt 'run %%'");
	leaves("bind x confirm-before kill-server");
	leaves("bind x kill-server");
	leaves("bind x set -g mouse on");
	leaves("bind -T other x select-pane -L");
	leaves("bind NoSuchKey select-pane -L");
	leaves("unbind -a");
	leaves("bind x select-pane -t '#{pane_id}'");
	leaves("bind x resize-pane -L 5 5");
	leaves("bind x select-pane -t");
}
END_TEST

START_TEST(commands_that_could_do_anything_are_left)
{
	leaves("run-shell 'touch /tmp/x'");
	leaves("run '~/.tmux/plugins/tpm/tpm'");
	leaves("if-shell true 'set -g mouse on'");
	leaves("source-file /etc/passwd");
	leaves("set-hook -g pane-died 'run-shell x'");
	leaves("set-environment -g A b");
	leaves("new-session -s x");
	leaves("bind");
	leaves("set");
	leaves("%if 1\n%endif");
	leaves("set -g prefix $KEY");
	leaves("set -g prefix \"${KEY}\"");
	leaves("set -g mouse 'on");
	leaves("set -g mouse \"o\nn\"");
	leaves("\xff\xfe");
	parse("# a comment\n\n   \n\t# and another");
	ck_assert_uint_eq(conf.ncommands + conf.nleft, 0);
}
END_TEST

START_TEST(each_line_is_judged_on_its_own_and_named)
{
	parse("set -g mouse on\nrun-shell x\n\nset -g prefix C-a ; set -g base-index 1\n'' x\nset -g \\\n nope 1\nset -g mouse off\n");
	ck_assert_uint_eq(conf.ncommands, 4);
	ck_assert_uint_eq(conf.nleft, 3);
	ck_assert_int_eq(conf.left[0].line, 2);
	ck_assert_str_eq(conf.left[0].text, "run-shell x");
	ck_assert_int_eq(conf.left[1].line, 5);
	ck_assert_int_eq(conf.left[2].line, 6);
	ck_assert_ptr_null(conf.commands[4]);
}
END_TEST

START_TEST(no_byte_stops_the_reading)
{
	static const char text[] = "set -g mouse\0 on\nset -g mouse on\n\0";

	tmuxconf_finish(&conf);
	tmuxconf_parse(text, sizeof(text), &conf);
	ck_assert_uint_eq(conf.ncommands, 1);
	ck_assert_uint_eq(conf.nleft, 2);
}
END_TEST

START_TEST(a_file_has_bounds)
{
	size_t n = 3000;
	char *text = xcalloc(n, 32), *at = text;

	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "set -g mouse on\n");
	parse(text);
	ck_assert_uint_eq(conf.ncommands, TMUXCONF_COMMANDS_MAX);
	ck_assert_uint_eq(conf.nleft, 1);
	memset(text, 'x', 5000);
	text[5000] = '\0';
	leaves(text);
	free(text);
}
END_TEST

TEST_MAIN_FIXTURE("ipc/tmuxconf", NULL, teardown, options_are_taken_in_their_form, values_of_another_form_are_left,
	bindings_that_only_move_and_look_are_taken, bindings_that_could_do_anything_are_left,
	commands_that_could_do_anything_are_left, each_line_is_judged_on_its_own_and_named,
	no_byte_stops_the_reading, a_file_has_bounds)
