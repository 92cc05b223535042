import { acceptCompletion, autocompletion, closeBrackets, closeCompletion, closeBracketsKeymap, completionKeymap, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language'
import { linter, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { EditorState, Prec, Transaction } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { Tag } from './tags'
import { completeAt } from '../traceql/complete'
import { tokenAt, type TokenKind } from '../traceql/tokens'

export interface EditorHandle {
  setValue(q: string): void
  setError(e?: { line: number; column: number; message: string }): void
  focus(): void
  destroy(): void
}

interface Options { /** Asks the node what is wrong with a query; nothing where it cannot tell. */ check?: (q: string) => Promise<{ line: number; column: number; message: string }[]>; value: string; label: string; hint: string; onChange: (q: string) => void; onRun: (q: string) => void; time: () => Record<string, string> }

const styleOf: Partial<Record<TokenKind, string>> = {
  comment: 'comment', field: 'field', intrinsic: 'intrinsic', keyword: 'keyword', function: 'call', string: 'text', number: 'number', operator: 'operator', bracket: 'bracket', error: 'wrong',
}

const language = StreamLanguage.define<{ raw: boolean; comment: boolean }>({
  name: 'traceql',
  startState: () => ({ raw: false, comment: false }),
  token(stream, state) {
    if (state.raw) { if (stream.skipTo('`')) { stream.next(); state.raw = false } else stream.skipToEnd(); return 'text' }
    if (state.comment) { if (stream.match(/^.*?\*\//)) state.comment = false; else stream.skipToEnd(); return 'comment' }
    const t = tokenAt(stream.string, stream.pos)
    stream.pos = t.to
    if (t.kind === 'error' && t.text[0] === '`') { state.raw = true; return 'text' }
    if (t.kind === 'comment' && t.text.startsWith('/*') && !t.text.endsWith('*/')) state.comment = true
    return styleOf[t.kind] ?? null
  },
  tokenTable: Tag,
})

const colors = HighlightStyle.define([
  { tag: Tag.comment, color: 'var(--text-3)', fontStyle: 'italic' },
  { tag: Tag.field, color: 'var(--q-field)' },
  { tag: Tag.intrinsic, color: 'var(--q-field)', fontWeight: '600' },
  { tag: Tag.keyword, color: 'var(--q-keyword)' },
  { tag: Tag.call, color: 'var(--q-call)', fontWeight: '600' },
  { tag: Tag.text, color: 'var(--q-text)' },
  { tag: Tag.number, color: 'var(--q-number)' },
  { tag: Tag.operator, color: 'var(--text-2)' },
  { tag: Tag.bracket, color: 'var(--text-2)', fontWeight: '600' },
  { tag: Tag.wrong, textDecoration: 'underline wavy var(--error)' },
])

/** The mark of an error; columns count characters from 1. */
function diagnosticAt(state: EditorState, e: { line: number; column: number; message: string }): Diagnostic | undefined {
  if (e.line < 1 || e.line > state.doc.lines) return undefined
  const line = state.doc.line(e.line)
  const from = Math.min(line.from + [...line.text].slice(0, e.column - 1).join('').length, line.to)
  return { from: from === line.to && from > line.from ? from - 1 : from, to: Math.min(from + 1, line.to), severity: 'error', message: e.message }
}

export function createEditor(parent: HTMLElement, o: Options): EditorHandle {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="nonce"]')?.content
  let silent = false
  const run = (v: EditorView) => { closeCompletion(v); o.onRun(v.state.doc.toString()); return true }
  const complete = async (c: CompletionContext): Promise<CompletionResult | null> => {
    const query = c.state.doc.toString()
    if (!c.explicit && /^\s*$/.test(query)) return null
    try {
      const p = await completeAt(query, c.pos, o.time())
      if (c.aborted || p.choices.length === 0) return null
      return {
        from: p.from,
        options: p.choices.map((x) => ({ label: x.label, apply: x.insert, detail: x.detail, info: x.info, boost: x.rank })),
        validFor: /^"?[^\s{}()=~!<>&|^,]*$/,
      }
    } catch { return null }
  }
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: o.value,
      extensions: [
        nonce ? EditorView.cspNonce.of(nonce) : [],
        Prec.highest(keymap.of([
          { key: 'Ctrl-Enter', mac: 'Cmd-Enter', run },
          { key: 'Tab', run: acceptCompletion },
        ])),
        history(), closeBrackets(), bracketMatching(),
        autocompletion({ override: [complete], activateOnTyping: true, activateOnTypingDelay: 150, icons: false }),
        keymap.of([
          ...closeBracketsKeymap, ...completionKeymap,
          { key: 'Enter', run },
          ...historyKeymap, ...defaultKeymap,
        ]),
        o.check ? linter(async (v): Promise<Diagnostic[]> => {
          const q = v.state.doc.toString()
          if (!q.trim()) return []
          try { return (await o.check!(q)).map((e) => diagnosticAt(v.state, e)).filter((d) => d !== undefined) } catch { return [] }
        }, { delay: 600 }) : [],
        language, syntaxHighlighting(colors), EditorView.lineWrapping, placeholder(o.hint),
        EditorView.contentAttributes.of({ 'aria-label': o.label, spellcheck: 'false', autocapitalize: 'off' }),
        EditorView.updateListener.of((u) => { if (u.docChanged && !silent) o.onChange(u.state.doc.toString()) }),
        EditorView.theme({
          '&': { fontSize: '13.5px', backgroundColor: 'var(--panel)', color: 'var(--text)' },
          '&.cm-focused': { outline: 'none' },
          '.cm-content': { fontFamily: 'var(--mono)', padding: '7px 4px', caretColor: 'var(--text)' },
          '.cm-cursor': { borderLeftColor: 'var(--text)' },
          '.cm-placeholder': { color: 'var(--text-3)' },
          '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'var(--select) !important' },
          '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft)', outline: '1px solid var(--line-strong)' },
          '.cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--text)', border: '1px solid var(--line-strong)', borderRadius: '8px', boxShadow: 'var(--shadow)' },
          '.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '18em' },
          '.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px', lineHeight: '1.5' },
          '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--select)', color: 'var(--text)' },
          '.cm-completionDetail': { color: 'var(--text-2)', fontStyle: 'normal', marginLeft: '1.5em' },
          '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
          '.cm-completionInfo': { padding: '6px 10px', fontFamily: 'var(--font)' },
          '.cm-diagnostic': { padding: '6px 10px', borderLeft: '4px solid var(--error)' },
        }),
      ],
    }),
  })
  return {
    setValue(q) {
      const old = view.state.doc.toString()
      if (old === q) return
      silent = true
      view.dispatch({ changes: { from: 0, to: old.length, insert: q }, annotations: Transaction.addToHistory.of(true) })
      silent = false
    },
    setError(e) {
      const d = e && diagnosticAt(view.state, e)
      view.dispatch(setDiagnostics(view.state, d ? [d] : []))
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  }
}
