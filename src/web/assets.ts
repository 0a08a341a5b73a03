import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

export interface PageAssets {
  /** By URL path. */
  readonly files: ReadonlyMap<string, Asset>;
  readonly contentSecurityPolicy: string;
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
const PAGE_FILES: readonly string[] = Object.freeze([
  'app.js',
  'charts.js',
  'format.js',
  'nodeMap.js',
  'pending.js',
  'queues.js',
  'style.css',
]);
const IMPORT_MAP_PLACE = '{ "imports": {} }';
/** Modules of packages: the name the page imports, and what Node resolves (through the package's `exports`). */
const LIBRARIES: Readonly<Record<string, string>> = Object.freeze({
  preact: 'preact',
  'preact/hooks': 'preact/hooks',
  htm: 'htm',
  uplot: 'uplot/dist/uPlot.esm.js',
});

/**
 * Everything the page consists of, read once. There is no build step: the browser gets the packages' own ES modules
 * through an import map, whose hash is the only inline script that the content security policy lets pass.
 */
export function loadPageAssets(): PageAssets {
  const files = new Map<string, Asset>();
  const imports: Record<string, string> = {};
  for (const [name, specifier] of Object.entries(LIBRARIES)) {
    const path = `/lib/${name.replace('/', '-')}.js`;
    imports[name] = path;
    files.set(path, { type: SCRIPT, body: readFileSync(fileURLToPath(import.meta.resolve(specifier))) });
  }
  files.set('/lib/uplot.css', { type: STYLE, body: readFileSync(fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css'))) });
  for (const name of PAGE_FILES) {
    files.set(`/page/${name}`, {
      type: name.endsWith('.css') ? STYLE : SCRIPT,
      body: readFileSync(new URL(`page/${name}`, import.meta.url)),
    });
  }
  const importMap = JSON.stringify({ imports });
  const template = readFileSync(new URL('page/index.html', import.meta.url), 'utf8');
  files.set('/', { type: 'text/html; charset=utf-8', body: Buffer.from(template.replace(IMPORT_MAP_PLACE, () => importMap)) });
  const hash = createHash('sha256').update(importMap).digest('base64');
  const contentSecurityPolicy = [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return { files, contentSecurityPolicy };
}
