/** The readable page: one HTML document around RapiDoc, which is served from here, too. Nothing is loaded from elsewhere. */
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { TITLE } from './about.ts'

/** RapiDoc in one self-contained file. */
export const SCRIPT_PATH = fileURLToPath(import.meta.resolve('rapidoc'))

/** Leaves a trailing slash, under which relative addresses would go astray, and follows the system between light and dark. */
const SETUP = `
if (location.pathname.endsWith('/')) location.replace(location.pathname.slice(0, -1) + location.hash)
const page = document.querySelector('rapi-doc')
const dark = matchMedia('(prefers-color-scheme: dark)')
const LIGHT = { theme: 'light', 'bg-color': '#ffffff', 'text-color': '#1f2933', 'nav-bg-color': '#f6f7f9', 'nav-text-color': '#3b4754', 'nav-hover-bg-color': '#e8ebf0', 'nav-hover-text-color': '#0f1720', 'primary-color': '#0b6e75' }
const DARK = { theme: 'dark', 'bg-color': '#14181d', 'text-color': '#d5dbe2', 'nav-bg-color': '#0f1216', 'nav-text-color': '#aab4c0', 'nav-hover-bg-color': '#1c222a', 'nav-hover-text-color': '#ffffff', 'primary-color': '#3fb6b0' }
const paint = () => { for (const [name, value] of Object.entries(dark.matches ? DARK : LIGHT)) page.setAttribute(name, value) }
paint()
dark.addEventListener('change', paint)
`

/** What the page may do, enforced by the browser: its own script, its own server, nobody else. */
const POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${createHash('sha256').update(SETUP).digest('base64')}'`,
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'none'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/** Addresses are relative, so that the page works under every base path. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<title>${TITLE}</title>
<link rel="icon" href="data:,">
<style>
html, body { margin: 0; height: 100% }
body { background: Canvas }
rapi-doc { width: 100%; height: 100vh }
.brand { padding: 1.1rem 1rem .4rem; font: 600 1.15rem system-ui, sans-serif }
.brand span { display: block; font-weight: 400; font-size: .8rem; opacity: .7; margin-top: .25rem }
rapi-doc::part(section-navbar-operations-top) { display: none }
rapi-doc::part(section-tag-title) { font-size: 1.5rem }
rapi-doc::part(section-operation-summary) { font-size: 1.2rem }
</style>
</head>
<body>
<rapi-doc spec-url="openapi.json" render-style="read" schema-style="table" show-header="false" load-fonts="false"
  regular-font="system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
  mono-font="ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace" font-size="large"
  show-method-in-nav-bar="as-colored-text" nav-item-spacing="relaxed" allow-spec-url-load="false" allow-spec-file-load="false"
  allow-server-selection="false" allow-advanced-search="false" show-components="false" persist-auth="false" sort-tags="false"
  schema-description-expanded="true" schema-expand-level="1" default-schema-tab="schema" fill-request-fields-with-example="true"
  response-area-height="20rem" update-route="true" scroll-y-offset="0">
<div slot="nav-logo" class="brand">Rialto<span>API reference</span></div>
</rapi-doc>
<script>${SETUP}</script>
<script src="docs/rapidoc.js" defer></script>
</body>
</html>
`
