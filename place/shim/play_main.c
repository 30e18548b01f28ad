/* SPDX-License-Identifier: ISC */
/* The shim's program as one that looks at recordings: it alone knows what terminals show. */
#include <getopt.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "place/shim/play.h"
#include "place/shim/render.h"

enum word { RENDER, DUMP, PLAY, SEARCH, LINES, ROWS, COLS, SINCE, UNTIL, TEXT, REGEX, IREGEX };

static const struct option options[] = {{"render", required_argument, NULL, RENDER}, {"dump", required_argument, NULL, DUMP},
	{"play", required_argument, NULL, PLAY}, {"search", required_argument, NULL, SEARCH},
	{"lines", required_argument, NULL, LINES}, {"rows", required_argument, NULL, ROWS},
	{"cols", required_argument, NULL, COLS}, {"since", required_argument, NULL, SINCE},
	{"until", required_argument, NULL, UNTIL}, {"text", required_argument, NULL, TEXT},
	{"regex", required_argument, NULL, REGEX}, {"iregex", required_argument, NULL, IREGEX}, {NULL, 0, NULL, 0}};

void play_usage(void)
{
	fputs("       tmux-claude-shim --render RECORDING [--lines N] [--rows N --cols N]\n"
	      "       tmux-claude-shim --dump RECORDING [--since OFFSET]\n"
	      "       tmux-claude-shim --play RECORDING [--since OFFSET] [--until OFFSET] [--rows N --cols N]\n"
	      "       tmux-claude-shim --search RECORDING --text TEXT|--regex RE|--iregex RE [--since N] [--until N]\n"
	      "Looks at a recording; the command line does this.\n"
	      "  --render  print the last screen as JSON\n"
	      "  --dump    print the recorded bytes\n"
	      "  --play    what it showed, as frames with their times (place/shim/play.h)\n"
	      "  --search  the lines that were seen, as JSON\n",
		stderr);
}

bool play_wanted(int argc, char **argv)
{
	static const char *const words[] = {"--render", "--dump", "--play", "--search"};

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(words); i++)
		if (strcmp(argv[1], words[i]) == 0)
			return true;
	return false;
}

int play_main(int argc, char **argv)
{
	struct play_spec spec = {.since = -1, .until = -1};
	int64_t value[IREGEX + 1] = {[SINCE] = -1, [UNTIL] = -1};
	const char *pattern = NULL;
	int c, what = -1, kind = TEXT;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c >= RENDER && c <= SEARCH) {
			what = c;
			spec.dir = optarg;
		} else if (c >= TEXT && c <= IREGEX) {
			kind = c;
			pattern = optarg;
		} else if (c == '?' || str_to_i64(optarg, 0, INT64_MAX, &value[c]) < 0) {
			play_usage();
			return 2;
		}
	}
	if (optind != argc || (what == SEARCH && !pattern) || value[ROWS] > 10000 || value[COLS] > 10000) {
		play_usage();
		return 2;
	}
	log_open("shim", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	spec.since = value[SINCE];
	spec.until = value[UNTIL];
	spec.rows = (int)value[ROWS];
	spec.cols = (int)value[COLS];
	if (what == RENDER)
		return render_screen(spec.dir, value[LINES], value[ROWS] ? value[ROWS] : 24, value[COLS] ? value[COLS] : 80);
	if (what == DUMP)
		return render_bytes(spec.dir, spec.since);
	if (what == PLAY)
		return play_frames(&spec);
	return play_search(&spec, pattern, kind != TEXT, kind == IREGEX);
}
