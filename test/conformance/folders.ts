import { join, resolve } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** The shared conformance cases: KAI_CONFORMANCE_DIR, or the folder beside the repository. */
export const SHARED_CASES = resolve(ROOT, process.env.KAI_CONFORMANCE_DIR ?? '../shared/conformance');
