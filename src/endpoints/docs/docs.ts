/**
 * The documentation that the server makes of its own declarations: `/openapi.json`, the page at `/docs` and the text
 * at `/llms-full.txt`. Nothing here knows any endpoint by name.
 */
import { z } from 'zod'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import type { About } from './about.ts'
import { baseOf, llmsText } from './llms.ts'
import { openApi } from './openapi.ts'
import { PAGE, SCRIPT_PATH } from './page.ts'

const TAG = 'Documentation'

/** The endpoints over `all`, which is asked once, at the first request, and may well contain them. */
export function docsEndpoints(all: () => readonly AnyEndpoint[], about: About): AnyEndpoint[] {
  let document: Record<string, unknown> | undefined
  const specification = endpoint({
    method: 'GET',
    path: '/openapi.json',
    tag: TAG,
    summary: 'The OpenAPI document',
    description:
      'OpenAPI 3.1 of every endpoint, with examples and all error answers, made of the same declarations that requests are checked by.',
    scope: 'public',
    answers: { 'application/json': { description: 'The document.', schema: z.looseObject({ openapi: z.literal('3.1.0') }) } },
    example: { answer: { openapi: '3.1.0', info: { title: 'Rialto API', version: about.version } } },
    errors: [],
    handle: () => json((document ??= openApi(all(), about))),
  })
  const page = endpoint({
    method: 'GET',
    path: '/docs',
    tag: TAG,
    summary: 'The readable page',
    description: 'This documentation as a page, with requests to try. It loads nothing from anywhere else.',
    scope: 'public',
    answers: { 'text/html': { description: 'The page.' } },
    example: { answer: '<!doctype html>…' },
    errors: [],
    handle: () => ({ type: 'text', contentType: 'text/html; charset=utf-8', body: PAGE }),
  })
  const script = endpoint({
    method: 'GET',
    path: '/docs/rapidoc.js',
    tag: TAG,
    summary: 'The script of the page',
    description: 'RapiDoc, as it was installed with this server.',
    scope: 'public',
    answers: { 'text/javascript': { description: 'The script.' } },
    example: { answer: '/*! RapiDoc … */' },
    errors: [],
    handle: () => ({ type: 'file', contentType: 'text/javascript; charset=utf-8', path: SCRIPT_PATH }),
  })
  const text = endpoint({
    method: 'GET',
    path: '/llms-full.txt',
    tag: TAG,
    summary: 'The whole reference as one text',
    description:
      'Everything on one page of Markdown for language models and their tools: endpoints, models with prices, limits and errors of this very server.',
    scope: 'public',
    answers: { 'text/plain': { description: 'Markdown.' } },
    example: { answer: '# Rialto API: complete reference …' },
    errors: [],
    handle: ({ headers }, { catalog }) => ({
      type: 'text',
      contentType: 'text/plain; charset=utf-8',
      body: llmsText(all(), about, catalog, baseOf(headers)),
    }),
  })
  return [specification, page, script, text]
}
