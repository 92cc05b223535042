import { Tag as HighlightTag } from '@lezer/highlight'

/** What a token of TraceQL is coloured by. */
export const Tag = {
  comment: HighlightTag.define(), field: HighlightTag.define(), intrinsic: HighlightTag.define(), keyword: HighlightTag.define(), call: HighlightTag.define(),
  text: HighlightTag.define(), number: HighlightTag.define(), operator: HighlightTag.define(), bracket: HighlightTag.define(), wrong: HighlightTag.define(),
}
