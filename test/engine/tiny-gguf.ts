/**
 * Makes two language models from nothing, small enough for a test and real enough for llama.cpp: one that chats, one
 * that embeds. No training and no downloads: the weights are written so that one knows what the model must say.
 *
 * The residual stream has one dimension per token (the token just read) and one per topic (whether a word of it was
 * read anywhere so far). The only layer's attention looks at all positions alike and carries the topics forward; its
 * feed-forward part is silent. The output says, for the token just read, which one follows; where an answer begins all
 * topics are level, and the topic that was asked for tips the scale. So the answer is a function of the prompt that only
 * a working engine computes: tokenizer, chat template, attention, norms, cache and sampler all have a part in it.
 */
import { writeGguf } from './gguf-file.ts'
import { END_OF_TEXT, learnVocabulary, TURN_END } from './tiny-vocabulary.ts'
import type { Meta, Tensor } from './gguf-file.ts'
import type { Vocabulary } from './tiny-vocabulary.ts'

type Topic = {
  /** Words of a prompt that bring it up, as they stand at the beginning of a text or after a space. */
  readonly words: readonly string[]
  /** What is said of it. Each word of all the answers together occurs once, so that one follows from the other. */
  readonly says: string
  /** Whether the answer starts again after its last word, for ever. */
  readonly endless: boolean
}

/** The first one is what the model says to everything else. */
export const TOPICS = {
  other: { words: [], says: 'This reply comes out of weights written by hand.', endless: false },
  greeting: { words: ['hello', 'Hello'], says: 'Grüß dich and welcome', endless: false },
  counting: { words: ['count', 'Count'], says: 'Uno two three four five six seven eight nine ten eleven twelve', endless: true },
} as const satisfies Record<string, Topic>

/** Words that the embedding model knows as wholes; of any other text it knows the bytes. */
export const EMBEDDED_WORDS = 'a red apple pie the deep blue sea under stars'

export const CONTEXT_TOKENS = 8192
/** The length of the embedding model's vectors. */
export const DIMENSIONS = 512

const HEADS = 8
const FEED_FORWARD = 64
/** How far apart the follower and all other tokens are, before the final norm multiplies it by about 22. */
const FOLLOWS = 1
/** What a topic weighs at the beginning of an answer: less than FOLLOWS at its most, more than OTHER_FIRST at its least. */
const TOPIC = 0.03
const OTHER_FIRST = 1.0005

const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

const CHAT_TOPICS: readonly Topic[] = Object.values(TOPICS)

const chatVocabulary = (): Vocabulary =>
  learnVocabulary([
    ...CHAT_TOPICS.flatMap(({ words, says }) => [...words, ...words.map((word) => ` ${word}`), says, ' ' + says]),
    'system\nuser\nassistant\n',
  ])

/** Where in the chat model's vectors a word of its vocabulary is: whatever puts a number there has said that word. */
export function dimensionOf(word: string): number {
  const [id] = chatVocabulary().idsOf(word)
  if (id === undefined) throw new Error(`not a word of the model: ${word}`)
  return id
}

/** The same, but it tells a model of its tools, and how to call them, in the way of one family. */
export const TOOL_TEMPLATE =
  "{%- if tools %}{{ '<|im_start|>system\n<tools>\n' }}{%- for tool in tools %}{{ tool | tojson }}{{ '\n' }}{%- endfor %}" +
  '{{ \'</tools>\n<tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call><|im_end|>\n\' }}{%- endif %}' +
  "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}{%- if message.content %}{{ message.content }}{%- endif %}" +
  '{%- if message.tool_calls %}{%- for tool_call in message.tool_calls %}{{ \'<tool_call>\n{"name": "\' + tool_call.function.name + \'", ' +
  "\"arguments\": ' }}{{ tool_call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{%- endfor %}{%- endif %}{{ '<|im_end|>\n' }}{%- endfor %}" +
  "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"

/** The same, but it refuses whoever does not let user and assistant take turns. */
export const TURNS_TEMPLATE = `{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('take turns') }}{% endif %}{% endfor %}${CHAT_TEMPLATE}`

export async function writeTinyChatModel(path: string, template = CHAT_TEMPLATE): Promise<void> {
  const topics = CHAT_TOPICS
  const vocabulary = chatVocabulary()
  const topicDimension = (index: number): number => vocabulary.tokens.length + index
  if (topicDimension(topics.length) > DIMENSIONS) throw new Error('the vocabulary outgrew the model')

  const output = matrix('output.weight', vocabulary.tokens.length, DIMENSIONS)
  const value = matrix('blk.0.attn_v.weight', DIMENSIONS, DIMENSIONS)
  const carry = matrix('blk.0.attn_output.weight', DIMENSIONS, DIMENSIONS)
  const newline = vocabulary.idOf('Ċ')
  topics.forEach((topic, index) => {
    const answer = vocabulary.idsOf(topic.says)
    const [first = newline] = answer
    // A restart takes the first word as it is written after a space.
    const [again = first] = topic.endless ? vocabulary.idsOf(` ${topic.says}`) : [vocabulary.idOf(TURN_END)]
    answer.forEach((token, place) => set(output, answer[place + 1] ?? again, token, FOLLOWS))
    if (topic.endless) set(output, answer[1] ?? again, again, FOLLOWS)
    set(output, first, newline, index === 0 ? OTHER_FIRST : FOLLOWS)
    set(output, first, topicDimension(index), TOPIC)

    for (const word of topic.words) {
      for (const token of [...vocabulary.idsOf(word), ...vocabulary.idsOf(` ${word}`)]) set(value, topicDimension(index), token, 1)
    }
    set(carry, topicDimension(index), topicDimension(index), 1)
  })

  await writeGguf(path, { ...describe('tiny-chat', vocabulary), 'tokenizer.chat_template': text(template) }, [
    ...trunk(vocabulary, value, carry),
    output,
  ])
}

/** Its vectors are the tokens of a text, counted: texts that share words are near each other, others are not. */
export async function writeTinyEmbeddingModel(path: string): Promise<void> {
  const vocabulary = learnVocabulary([EMBEDDED_WORDS, ` ${EMBEDDED_WORDS}`])
  const silent = [
    matrix('blk.0.attn_v.weight', DIMENSIONS, DIMENSIONS),
    matrix('blk.0.attn_output.weight', DIMENSIONS, DIMENSIONS),
  ] as const
  const meanPooling = count(1)

  await writeGguf(path, { ...describe('tiny-embedding', vocabulary), 'llama.pooling_type': meanPooling }, trunk(vocabulary, ...silent))
}

function describe(name: string, vocabulary: Vocabulary): Record<string, Meta> {
  return {
    'general.architecture': text('llama'),
    'general.name': text(name),
    'general.file_type': count(0),
    'llama.context_length': count(CONTEXT_TOKENS),
    'llama.embedding_length': count(DIMENSIONS),
    'llama.block_count': count(1),
    'llama.feed_forward_length': count(FEED_FORWARD),
    'llama.attention.head_count': count(HEADS),
    'llama.attention.head_count_kv': count(HEADS),
    'llama.attention.layer_norm_rms_epsilon': { kind: 'f32', value: 1e-6 },
    'llama.rope.dimension_count': count(DIMENSIONS / HEADS),
    'llama.vocab_size': count(vocabulary.tokens.length),
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('qwen2'),
    'tokenizer.ggml.tokens': { kind: 'strings', value: vocabulary.tokens },
    'tokenizer.ggml.token_type': { kind: 'i32s', value: vocabulary.types },
    'tokenizer.ggml.merges': { kind: 'strings', value: vocabulary.merges },
    'tokenizer.ggml.bos_token_id': count(vocabulary.idOf(END_OF_TEXT)),
    'tokenizer.ggml.eos_token_id': count(vocabulary.idOf(TURN_END)),
    'tokenizer.ggml.padding_token_id': count(vocabulary.idOf(END_OF_TEXT)),
    'tokenizer.ggml.add_bos_token': { kind: 'bool', value: false },
    'tokenizer.ggml.add_eos_token': { kind: 'bool', value: false },
  }
}

/** What both models have: a dimension per token, and a layer that does only what its value and output say. */
function trunk(vocabulary: Vocabulary, value: Tensor, carry: Tensor): Tensor[] {
  const embedding = matrix('token_embd.weight', vocabulary.tokens.length, DIMENSIONS)
  vocabulary.tokens.forEach((_, id) => set(embedding, id, id, 1))
  return [
    embedding,
    ones('output_norm.weight'),
    ones('blk.0.attn_norm.weight'),
    matrix('blk.0.attn_q.weight', DIMENSIONS, DIMENSIONS),
    matrix('blk.0.attn_k.weight', DIMENSIONS, DIMENSIONS),
    value,
    carry,
    ones('blk.0.ffn_norm.weight'),
    matrix('blk.0.ffn_gate.weight', FEED_FORWARD, DIMENSIONS),
    matrix('blk.0.ffn_up.weight', FEED_FORWARD, DIMENSIONS),
    matrix('blk.0.ffn_down.weight', DIMENSIONS, FEED_FORWARD),
  ]
}

const text = (value: string): Meta => ({ kind: 'string', value })
const count = (value: number): Meta => ({ kind: 'u32', value })

const matrix = (name: string, rows: number, columns: number): Tensor => ({ name, rows, columns, values: new Float32Array(rows * columns) })

const ones = (name: string): Tensor => ({ name, rows: 1, columns: DIMENSIONS, values: new Float32Array(DIMENSIONS).fill(1) })

function set(tensor: Tensor, row: number, column: number, value: number): void {
  tensor.values[row * tensor.columns + column] = value
}
