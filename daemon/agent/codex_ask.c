/* SPDX-License-Identifier: ISC */
/*
 * What Codex asks a person for. Its hook PermissionRequest is told of it, and answers it, in the words of Claude Code's
 * (docs/agents-codex.md); but it runs before the dialog, which appears when the hook has said nothing.
 */
#include "daemon/agent/codex.h"

#include "base/util.h"
#include "daemon/agent/body.h"

bool codex_ask(const char *event, const json_t *body, struct agent_ask *ret)
{
	if (!claude_ask(event, body, ret))
		return false;
	ret->kind = AK_PERMISSION; /* whatever the tool is called: its hook takes no answers to questions */
	return true;
}

enum agent_over codex_ask_over(const char *event, const json_t *body, struct agent_ask *ret)
{
	return claude_ask_over(!strcmp(event, "Interrupt") ? "Stop" : event, body, ret);
}

/* The change itself is what it asks for. */
char *codex_ask_diff(const struct agent_ask *ask, const json_t *file)
{
	const char *patch = body_text(ask->args, "command");
	size_t n = strlen(patch);

	(void)file;
	if (strcmp(ask->tool, "apply_patch") != 0 || !n)
		return NULL;
	if (n <= APPROVAL_DIFF_MAX)
		return xstrdup(patch);
	for (n = APPROVAL_DIFF_MAX; n > 0 && ((unsigned char)patch[n] & 0xc0) == 0x80; n--)
		;
	return xasprintf("%.*s\n(the rest of the change is not shown: it is too long)\n", (int)n, patch);
}
