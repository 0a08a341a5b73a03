import type { ListName } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotOptions, type SnapshotView } from '../../src/base/snapshotView.ts';
import { contentOf, type RowContent } from '../../src/snapshot/describe.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A pod `ns/p`; `spec` and the rest are merged over the defaults. */
export function pod(spec: Fields, rest: { readonly metadata?: Fields; readonly status?: Fields } = {}): Fields {
  return {
    metadata: { name: 'p', namespace: 'ns', uid: 'uid-p', ...rest.metadata },
    spec: { schedulerName: 'kai-scheduler', ...spec },
    status: { phase: 'Pending', ...rest.status },
  };
}

export function container(requests: Fields, rest: Fields = {}): Fields {
  return { name: 'main', resources: { requests }, ...rest };
}

/** The only row that one object becomes; fails when something was wrong with the object. */
export function project(list: ListName, object: unknown, options: Partial<SnapshotOptions> = {}): RowContent {
  const { row, problems } = projectWithProblems(list, object, options);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return row;
}

export function projectWithProblems(list: ListName, object: unknown, options: Partial<SnapshotOptions> = {}) {
  const writer = createSnapshotWriter({ ...DEFAULT_SNAPSHOT_OPTIONS, ...options });
  const problems = writer.put(list, object).map((p) => `${p.object}: ${p.field}: ${p.message}`);
  const content = contentOf(writer.seal());
  const table = (['nodes', 'pods', 'podGroups', 'queues', 'bindRequests'] as const).find((name) => name === list) ?? 'objects';
  return { row: content[table][0] ?? {}, problems };
}

/** The request shape of a pod. */
export function shapeOf(spec: Fields, annotations: Fields = {}): RowContent {
  return project('pods', pod(spec, { metadata: { annotations } })).shape as RowContent;
}

/** Every text is found under its own row, and every row in use is a text of its own. */
export function textProblems(view: SnapshotView, usedTexts: number): string[] {
  const found = new Set<number>();
  const problems: string[] = [];
  for (let row = 0; row < view.texts.capacity; row++) {
    const at = view.texts.find(view.texts.get(row));
    if (at === row) found.add(row);
  }
  if (found.size !== usedTexts) problems.push(`${found.size} texts are found, ${usedTexts} are in use`);
  return problems;
}
