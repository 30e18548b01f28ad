/* SPDX-License-Identifier: ISC */
/*
 * What makes a shell print marks about its prompt.
 *
 * Nothing of the prompt itself is touched: the marks are printed by what the shell runs before a prompt and
 * before a command. "D;STATUS" is printed first, while $? is that of the command, and given on; "A" last, when
 * what else runs there is done. Each line stands alone: a user's own PROMPT_COMMAND may end as it likes.
 */
#include "ipc/shellmarks.h"

#include <stddef.h>
#include <string.h>

#include "base/util.h"

/* PS0 is of bash 4.4; an array as PROMPT_COMMAND of 5.1. */
#define BASH_LINES \
	"# tmux-claude: tell where the prompt stands (OSC 133).\n" \
	"if [[ $- == *i* && -z ${__tmux_claude_marks-} ]]; then\n" \
	"\t__tmux_claude_marks=1\n" \
	"\t__tmux_claude_done() { local s=$?; printf '\\033]133;D;%s\\a' \"$s\"; return \"$s\"; }\n" \
	"\t__tmux_claude_prompt() { local s=$?; printf '\\033]133;A\\a'; return \"$s\"; }\n" \
	"\tPS0=${PS0-}'\\e]133;C\\a'\n" \
	"\tif [[ $(declare -p PROMPT_COMMAND 2>/dev/null) == 'declare -a'* ]]; then\n" \
	"\t\tPROMPT_COMMAND=(__tmux_claude_done \"${PROMPT_COMMAND[@]}\" __tmux_claude_prompt)\n" \
	"\telse\n" \
	"\t\tPROMPT_COMMAND='__tmux_claude_done'$'\\n'\"${PROMPT_COMMAND-}\"$'\\n''__tmux_claude_prompt'\n" \
	"\tfi\n" \
	"fi\n"

#define BASH_LOGIN \
	"# What a login shell of bash reads; bash reads this file instead (--rcfile).\n" \
	"if [ -r /etc/profile ]; then . /etc/profile; fi\n" \
	"if [ -r ~/.bash_profile ]; then . ~/.bash_profile\n" \
	"elif [ -r ~/.bash_login ]; then . ~/.bash_login\n" \
	"elif [ -r ~/.profile ]; then . ~/.profile; fi\n"

#define ZSH_LINES \
	"# tmux-claude: tell where the prompt stands (OSC 133).\n" \
	"if [[ -o interactive && -z ${__tmux_claude_marks-} ]]; then\n" \
	"\t__tmux_claude_marks=1\n" \
	"\t__tmux_claude_done() { printf '\\033]133;D;%s\\a' $? }\n" \
	"\t__tmux_claude_prompt() { printf '\\033]133;A\\a' }\n" \
	"\t__tmux_claude_begin() { printf '\\033]133;C\\a' }\n" \
	"\tprecmd_functions=(__tmux_claude_done $precmd_functions __tmux_claude_prompt)\n" \
	"\tpreexec_functions+=(__tmux_claude_begin)\n" \
	"fi\n"

/* Fish 4 prints them by itself. */
#define FISH_LINES \
	"# tmux-claude: tell where the prompt stands (OSC 133); fish 4 does so itself.\n" \
	"if status is-interactive; and not set -q __tmux_claude_marks\n" \
	"\tand string match -qr '^[0-3][.]' -- $version\n" \
	"\tset -g __tmux_claude_marks 1\n" \
	"\tfunction __tmux_claude_done --on-event fish_postexec; printf '\\033]133;D;%s\\a' $status; end\n" \
	"\tfunction __tmux_claude_prompt --on-event fish_prompt; printf '\\033]133;A\\a'; end\n" \
	"\tfunction __tmux_claude_begin --on-event fish_preexec; printf '\\033]133;C\\a'; end\n" \
	"end\n"

const char *shellmarks_lines(const char *shell)
{
	static const struct {
		const char *shell, *lines;
	} all[] = {{"bash", BASH_LINES}, {"zsh", ZSH_LINES}, {"fish", FISH_LINES}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!strcmp(all[i].shell, shell))
			return all[i].lines;
	return NULL;
}

const char *shellmarks_bash_login(void)
{
	return BASH_LOGIN BASH_LINES;
}
