/** A value with a bar before it that shows it as a share; both have their width in every row. */
export function Bar({ share, text }: { share: number; text: string }) {
  return <span class="bar"><span class="bar-cell"><span style={{ width: `${Math.max(share > 0 ? 1 : 0, Math.min(100, 100 * share))}%` }} /></span><span class="bar-value">{text}</span></span>
}

/** Holds the place of a table that is on its way, so that nothing below it jumps. */
export function Waiting({ text = 'Counting …' }: { text?: string }) {
  return <p class="waiting faint">{text}</p>
}
