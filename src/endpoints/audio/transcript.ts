/** A transcript in the shapes that it can be asked for. */
import type { AsrPart, Segment } from '../../core/modalities/asr.ts'

/** What `timestamps` adds to an answer of the API's own shape. */
export function timestampsOf({ segments, words }: AsrPart): object {
  return {
    ...(words.length > 0 && { word: words }),
    segment: segments,
    ...(words.length > 0 && { char: words.flatMap(({ word, start, end }) => characters(word, start, end)) }),
  }
}

/** Nobody hears single characters: their times are those of their word, divided evenly. */
function characters(word: string, start: number, end: number): object[] {
  const signs = Array.from(word)
  const each = (end - start) / signs.length
  return signs.map((char, at) => ({ char, start: rounded(start + at * each), end: rounded(start + (at + 1) * each) }))
}

const rounded = (seconds: number): number => Math.round(seconds * 1000) / 1000

/** OpenAI's `verbose_json`. What only its own models know of a segment is not made up. */
export function verboseOf(transcript: AsrPart, seconds: number, more: { readonly words: boolean; readonly segments: boolean }): object {
  const { text, language, segments, words } = transcript
  return {
    task: 'transcribe',
    ...(language !== null && { language }),
    duration: seconds,
    text,
    ...(more.words && { words }),
    ...(more.segments && { segments: segments.map((segment, id) => ({ id, seek: 0, ...segment, tokens: [], temperature: 0 })) }),
  }
}

export const srtOf = (segments: readonly Segment[]): string =>
  segments.map(({ text, start, end }, at) => `${at + 1}\n${clock(start, ',')} --> ${clock(end, ',')}\n${oneLine(text)}\n`).join('\n')

export const vttOf = (segments: readonly Segment[]): string =>
  `WEBVTT\n\n${segments.map(({ text, start, end }) => `${clock(start, '.')} --> ${clock(end, '.')}\n${oneLine(text).replaceAll('-->', '→')}\n`).join('\n')}`

/** An empty line would end the caption. */
const oneLine = (text: string): string => text.split('\n').join(' ').trim()

function clock(seconds: number, point: string): string {
  const ms = Math.round(seconds * 1000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const whole = Math.floor(ms / 1000)
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}${point}${String(ms % 1000).padStart(3, '0')}`
}
