import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ListName } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { loadSnapshot, saveSnapshot } from '../../src/snapshot/codec.ts';
import { contentOf } from '../../src/snapshot/describe.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { textProblems } from './objects.ts';

const folder = process.env.KAI_CONFORMANCE_DIR ?? join(import.meta.dirname, '../../../shared/conformance');
const suites = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()) : [];
if (suites.length === 0) console.warn(`SKIPPED: no conformance cases in ${folder} (set KAI_CONFORMANCE_DIR)`);

interface Case {
  readonly rawObjects: Readonly<Record<string, readonly unknown[] | null>>;
}

describe.skipIf(suites.length === 0)('conformance cases', () => {
  it.each(suites.map((suite) => suite.name))('%s: every object becomes a row, in both directions of the codec', (suite) => {
    for (const file of readdirSync(join(folder, suite)).filter((name) => name.endsWith('.json'))) {
      const { rawObjects } = JSON.parse(readFileSync(join(folder, suite, file), 'utf8')) as Case;
      const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
      let objects = 0;
      for (const [list, items] of Object.entries(rawObjects)) {
        for (const item of items ?? []) {
          expect(writer.put(list as ListName, item), file).toEqual([]);
          // Failed pods do not exist for the scheduler (spec 02 section 3.1).
          if ((item as { readonly status?: { readonly phase?: string } }).status?.phase !== 'Failed') objects++;
        }
      }
      const view = writer.seal();
      const content = contentOf(view);
      const { nodes, pods, podGroups, queues, bindRequests, objects: others } = content;
      expect([nodes, pods, podGroups, queues, bindRequests, others].flat().length, file).toBe(objects);
      expect(textProblems(view, content.interned.texts), file).toEqual([]);
      expect(contentOf(loadSnapshot(saveSnapshot(view))), file).toEqual(content);
    }
  });
});
