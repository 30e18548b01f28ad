// SPDX-License-Identifier: ISC
// What OpenCode does, told to tmux-claude: a plugin that translates its events into reports of our hook program, and
// writes its conversations down as lines (docs/agents-opencode.md has both).
//
// Theory of operation. Reports go one after the other, in the order of the events (`chain`). A request for permission
// is a report whose hook stays until it is answered: its output is the verdict, given to OpenCode by the client it
// hands to plugins. Answered at the terminal, the hook is ended. OpenCode listens nowhere for this.
import { spawn } from "node:child_process"
import { appendFileSync, mkdirSync, readFileSync } from "node:fs"

const TEXT_MAX = 256 * 1024 // of a text in a line; the reports are cut by the hook program
const DENIED = "The operator did not allow this."
const NAMES = { bash: "Bash", edit: "Edit", write: "Write", read: "Read", question: "AskUserQuestion" }
const ARGS = { filePath: "file_path", oldString: "old_string", newString: "new_string", replaceAll: "replace_all" }

const cut = (text) => (text && text.length > TEXT_MAX ? text.slice(0, TEXT_MAX) + "..." : text)

// As our side knows the tools of agents: so "the same file" is the same for all of them.
const toolName = (tool) => NAMES[tool] ?? tool
function toolInput(tool, args) {
	if (tool === "question") return { questions: questionsOf(args.questions) }
	const out = {}
	for (const [k, v] of Object.entries(args ?? {})) out[NAMES[tool] ? (ARGS[k] ?? k) : k] = v
	return out
}

function questionsOf(list) {
	return (list ?? []).map((q) => ({ question: q.question, header: q.header, multiSelect: q.multiple === true,
		options: (q.options ?? []).map((o) => ({ label: o.label, description: o.description })) }))
}

// "S, L" of several: labels may hold commas themselves.
function chosen(question, answer) {
	if (!question.multiSelect) return [answer]
	const all = question.options.map((o) => o.label).sort((a, b) => b.length - a.length)
	const found = []
	let rest = answer
	while (rest) {
		const label = all.find((l) => rest === l || rest.startsWith(l + ", ")) ?? rest
		found.push(label)
		rest = rest.slice(label.length + 2)
	}
	return found
}

// One report; `done` has what the hook printed.
function run(guest, event, body) {
	const text = JSON.stringify(body)
	const child = spawn(guest, ["hook", event], { stdio: ["pipe", "pipe", "ignore"] })
	const done = new Promise((resolve) => {
		let out = ""
		child.stdout.on("data", (d) => { out += d })
		child.on("error", () => resolve(""))
		child.on("close", () => resolve(out))
	})
	child.stdin.on("error", () => {})
	child.stdin.end(text)
	return { child, done }
}

function decision(out) {
	try {
		return JSON.parse(out).hookSpecificOutput.decision
	} catch {
		return null
	}
}

// The conversation as lines, each part once: {type, id, ...}.
class Lines {
	constructor(folder) {
		this.folder = folder
		this.have = new Map()
	}
	path(session) { return `${this.folder}/${session}.jsonl` }
	ids(session) {
		let ids = this.have.get(session)
		if (ids) return ids
		this.have.set(session, (ids = new Set()))
		try {
			for (const line of readFileSync(this.path(session), "utf8").split("\n"))
				try { ids.add(JSON.parse(line).id) } catch { /* cut off by a crash */ }
		} catch { /* none yet */ }
		// A line that was cut off must not swallow the next one.
		if (ids.size) this.append(session, "\n")
		return ids
	}
	// A full disk must not stand in the agent's way: what is missing here is added at the next start.
	append(session, text) {
		try {
			mkdirSync(this.folder, { recursive: true, mode: 0o700 })
			appendFileSync(this.path(session), text, { mode: 0o600 })
			return true
		} catch {
			return false
		}
	}
	put(session, line) {
		const ids = this.ids(session)
		if (!ids.has(line.id) && this.append(session, JSON.stringify(line) + "\n")) ids.add(line.id)
	}
	user(session, message, parts, side) {
		const said = (parts ?? []).filter((p) => p.type === "text")
		const typed = said.filter((p) => !p.synthetic)
		this.put(session, { type: "user", id: message.id, sessionID: session, time: message.time?.created ?? Date.now(),
			side, own: !typed.length, text: cut((typed.length ? typed : said).map((p) => p.text).join("\n")) })
	}
	part(session, p, time, side) {
		const head = { message: p.messageID, sessionID: session, time, side }
		if ((p.type === "text" || p.type === "reasoning") && p.text)
			this.put(session, { type: p.type, id: p.id, ...head, text: cut(p.text) })
		if (p.type !== "tool" || (p.state.status !== "completed" && p.state.status !== "error")) return
		this.put(session, { type: "tool", id: p.callID, ...head, tool: p.tool, input: p.state.input })
		this.put(session, { type: "result", id: p.callID + ":r", ...head, call: p.callID,
			output: cut(p.state.output ?? p.state.error ?? ""), error: p.state.status === "error" })
	}
	assistant(session, m, side) {
		if (!m.time?.completed) return
		this.put(session, { type: "assistant", id: m.id, sessionID: session, time: m.time.completed, side,
			model: `${m.providerID}/${m.modelID}`, tokens: m.tokens, cost: m.cost, error: m.error?.data?.message ?? m.error?.name })
	}
}

export const TmuxClaude = async ({ client, directory }, options) => {
	const { guest, folder, session: resumed } = options
	const lines = new Lines(folder)
	const parents = new Map() // of subagents' sessions
	const calls = new Map() // of tools: what they were called with
	const waiting = new Map() // requests: the hook that waits, or null before it runs
	const synced = new Map()
	let turn = null // {session, prompt, said, error}
	let chain = Promise.resolve()

	const root = (id) => { while (parents.has(id)) id = parents.get(id); return id }
	const body = (id, more) => ({ session_id: root(id), transcript_path: lines.path(root(id)), cwd: directory,
		agent_id: parents.has(id) ? id : "", ...more })
	// One that cannot be told (no process can be made) must not end all that follow.
	const next = (fn) => { chain = chain.then(fn).catch(() => {}) }
	const report = (event, id, more) => next(() => run(guest, event, body(id, more)).done)

	// What of a conversation is older than this program, or was missed.
	const sync = (id) => {
		if (synced.has(id)) return synced.get(id)
		const all = client.session.messages({ path: { id } }).then((r) => {
			for (const m of r.data ?? []) {
				if (m.info.role === "user") lines.user(id, m.info, m.parts, false)
				if (m.info.role !== "assistant" || !m.info.time?.completed) continue
				for (const p of m.parts) lines.part(id, p, m.info.time.created, false)
				lines.assistant(id, m.info, false)
			}
		}).catch(() => {})
		synced.set(id, all)
		return all
	}

	// One request; answer(decision) tells OpenCode.
	const ask = (request, id, tool, input, answer) => {
		waiting.set(request, null)
		next(() => {
			if (!waiting.has(request)) return
			const hook = run(guest, "PermissionRequest", body(id, { tool_name: tool, tool_input: input }))
			waiting.set(request, hook)
			hook.done.then((out) => {
				const d = decision(out)
				if (waiting.delete(request) && d) return answer(d)
			}).catch(() => {})
		})
	}
	const over = (request) => {
		const hook = waiting.get(request)
		waiting.delete(request)
		hook?.child.kill("SIGTERM")
	}
	const post = (url, body) => client._client.post({ url, body, headers: { "content-type": "application/json" } })

	const asked = (p) => {
		const call = calls.get(p.tool?.callID)
		const own = call && (p.permission === call.tool || (p.permission === "edit" && call.tool === "write"))
		const tool = own ? call.tool : p.permission
		const input = own ? toolInput(tool, call.args) : { patterns: p.patterns, ...p.metadata, for: call?.tool }
		ask(p.id, p.sessionID, own ? toolName(tool) : tool, input, (d) => post(`/permission/${p.id}/reply`,
			d.behavior === "allow" ? { reply: "once" } : { reply: "reject", message: d.message || DENIED }))
	}
	const questioned = (p) => {
		const questions = questionsOf(p.questions)
		ask(p.id, p.sessionID, "AskUserQuestion", { questions }, (d) => {
			const given = d.updatedInput?.answers ?? {}
			post(`/question/${p.id}/reply`, { answers: questions.map((q) => d.behavior === "allow"
				? chosen(q, given[q.question] ?? "") : [d.message || DENIED]) })
		})
	}

	const ended = (id) => {
		if (!turn || turn.session !== id) return
		const { said, error } = turn
		turn = null
		if (error?.name === "MessageAbortedError") report("Interrupt", id, {})
		else if (error) report("StopFailure", id, { error: error.name, message: cut(error.data?.message ?? "") })
		else report("Stop", id, { last_assistant_message: cut(said) })
	}
	const part = (p, time) => {
		const id = root(p.sessionID)
		const text = p.type === "text" || p.type === "reasoning"
		if (text && !p.time?.end) return // a user's, or still being written
		lines.part(id, p, time ?? Date.now(), id !== p.sessionID)
		if (p.type === "text" && turn && turn.session === p.sessionID) turn.said = p.text
		if (p.type !== "tool" || (p.state.status !== "completed" && p.state.status !== "error")) return
		const call = calls.get(p.callID)
		if (call && calls.delete(p.callID))
			report(p.state.status === "error" ? "PostToolUseFailure" : "PostToolUse", p.sessionID,
				{ tool_name: toolName(call.tool), tool_input: toolInput(call.tool, call.args) })
	}

	const handlers = {
		"session.created": ({ info }) => {
			if (info.parentID) return void parents.set(info.id, info.parentID)
			sync(info.id)
			report("SessionStart", info.id, { source: "startup" })
		},
		"session.status": (p) => {
			if (p.status.type === "retry") report("Retry", p.sessionID, { message: cut(p.status.message) })
			if (p.status.type !== "busy" || turn || parents.has(p.sessionID)) return
			turn = { session: p.sessionID, said: "" } // a command, or a shell line of the user's
			report("Working", p.sessionID, {})
		},
		"session.error": (p) => { if (turn && turn.session === p.sessionID) turn.error = p.error },
		"session.idle": (p) => ended(p.sessionID),
		"session.compacted": (p) => lines.put(root(p.sessionID), { type: "compact", id: `compact-${Date.now()}`,
			sessionID: root(p.sessionID), time: Date.now() }),
		"message.updated": ({ info }) => {
			if (info.role !== "assistant") return
			lines.assistant(root(info.sessionID), info, parents.has(info.sessionID))
			if (info.error && turn && turn.prompt === info.parentID) turn.error = info.error
		},
		"message.part.updated": (p) => part(p.part, p.time),
		"permission.asked": asked,
		"permission.replied": (p) => over(p.requestID),
		"question.asked": questioned,
		"question.replied": (p) => over(p.requestID),
		"question.rejected": (p) => over(p.requestID),
	}

	report("PluginStart", resumed ?? "", {})
	if (resumed) sync(resumed)
	return {
		event: async ({ event }) => { handlers[event.type]?.(event.properties) },
		"chat.message": async (input, output) => {
			const id = root(input.sessionID)
			if (id === input.sessionID) await sync(id)
			lines.user(id, output.message, output.parts, id !== input.sessionID)
			if (id !== input.sessionID) return
			const typed = output.parts.filter((p) => p.type === "text" && !p.synthetic)
			if (!typed.length) return
			turn = { session: id, prompt: output.message.id, said: "" }
			report("UserPromptSubmit", id, { prompt: cut(typed.map((p) => p.text).join("\n")) })
		},
		"tool.execute.before": async (input, output) => {
			calls.set(input.callID, { tool: input.tool, args: structuredClone(output.args) })
			report("PreToolUse", input.sessionID, { tool_name: toolName(input.tool), tool_input: toolInput(input.tool, output.args) })
		},
	}
}
