import { ObjectKind, PodFlag, SignatureFlag } from '../../src/base/codes.ts';
import type { LabelSetsColumns, NodesColumns, ObjectsColumns, PodsColumns, SignaturesColumns } from '../../src/base/columns.gen.ts';
import type { PodConstraints, Taint } from '../../src/base/constraints.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import type { Texts } from '../../src/base/text.ts';

export type Labels = Readonly<Record<string, string>>;

export interface FakeNode {
  readonly name: string;
  readonly labels?: Labels;
  readonly taints?: readonly Taint[];
}

export interface FakePod {
  /** Default: p0, p1, … */
  readonly name?: string;
  /** Default: ns */
  readonly namespace?: string;
  /** Default: uid-<name> */
  readonly uid?: string;
  readonly labels?: Labels;
  readonly spec?: PodConstraints;
  readonly isDeleting?: boolean;
}

export interface FakeObject {
  readonly kind: keyof typeof ObjectKind;
  /** "namespace/name" or "name" */
  readonly key: string;
  readonly object?: unknown;
}

export interface FakeCluster {
  readonly nodes?: readonly FakeNode[];
  readonly pods?: readonly FakePod[];
  readonly objects?: readonly FakeObject[];
}

type MutableTexts = Texts & { intern(text: string): number };

/** The columns the filters read, built from plain data. Pod i has row i; node i has row `nodes.length − 1 − i`. */
export function fakeView(cluster: FakeCluster): SnapshotView {
  const texts = fakeTexts();
  const sets: { labels: Labels; pairs: number[] }[] = [];
  const labelSet = (labels: Labels = {}): number => {
    const pairs = Object.keys(labels)
      .sort()
      .flatMap((key) => [texts.intern(key), texts.intern(labels[key]!)]);
    return sets.push({ labels, pairs }) - 1;
  };
  const nodes = fakeNodes(texts, labelSet, [...(cluster.nodes ?? [])].reverse());
  const { pods, signatures } = fakePods(texts, labelSet, cluster.pods ?? []);
  const objects = fakeObjects(texts, cluster.objects ?? []);
  const view: Partial<SnapshotView> = {
    generation: 1,
    options: DEFAULT_SNAPSHOT_OPTIONS,
    texts,
    labelSets: fakeLabelSets(sets.map((s) => s.pairs)),
    nodes,
    pods,
    signatures,
    objects,
  };
  return view as SnapshotView;
}

/** Node positions in the order of `cluster.nodes`. */
export function fakeNodeOrder(view: SnapshotView): Int32Array {
  return Int32Array.from({ length: view.nodes.rows }, (_, i) => view.nodes.rows - 1 - i);
}

function fakeTexts(): MutableTexts {
  const texts: string[] = [];
  const rows = new Map<string, number>();
  return {
    get capacity() {
      return texts.length;
    },
    get: (row) => texts[row] ?? '',
    find: (text) => (rows.get(text) ?? -1) as ReturnType<Texts['find']>,
    intern(text) {
      if (!rows.has(text)) rows.set(text, texts.push(text) - 1);
      return rows.get(text)!;
    },
  };
}

function fakeLabelSets(pairs: readonly number[][]): LabelSetsColumns {
  const starts: number[] = [];
  for (let i = 0, at = 0; i < pairs.length; at += pairs[i]!.length, i++) starts.push(at);
  return {
    rows: pairs.length,
    used: new Uint8Array(pairs.length).fill(1),
    pairStart: Int32Array.from(starts),
    pairCount: Int32Array.from(pairs, (p) => p.length / 2),
    pairs: Int32Array.from(pairs.flat()),
  };
}

function fakeNodes(texts: MutableTexts, labelSet: (labels?: Labels) => number, nodes: readonly FakeNode[]): NodesColumns {
  const columns: Partial<NodesColumns> = {
    rows: nodes.length,
    used: new Uint8Array(nodes.length).fill(1),
    nameText: Int32Array.from(nodes, (n) => texts.intern(n.name)),
    labelSetRow: Int32Array.from(nodes, (n) => labelSet(n.labels)),
    taintsJson: Int32Array.from(nodes, (n) => (n.taints === undefined ? -1 : texts.intern(JSON.stringify(n.taints)))),
  };
  return columns as NodesColumns;
}

function fakePods(
  texts: MutableTexts,
  labelSet: (labels?: Labels) => number,
  pods: readonly FakePod[],
): { pods: PodsColumns; signatures: SignaturesColumns } {
  const specs: string[] = [];
  const signatureRow = (pod: FakePod): number => {
    const spec = JSON.stringify({ namespace: pod.namespace ?? 'ns', ...pod.spec });
    const known = specs.indexOf(spec);
    return known >= 0 ? known : specs.push(spec) - 1;
  };
  const nameOf = (pod: FakePod, i: number): string => pod.name ?? `p${i}`;
  const columns: Partial<PodsColumns> = {
    rows: pods.length,
    used: new Uint8Array(pods.length).fill(1),
    keyText: Int32Array.from(pods, (p, i) => texts.intern(`${p.namespace ?? 'ns'}/${nameOf(p, i)}`)),
    namespaceText: Int32Array.from(pods, (p) => texts.intern(p.namespace ?? 'ns')),
    uidText: Int32Array.from(pods, (p, i) => texts.intern(p.uid ?? `uid-${nameOf(p, i)}`)),
    labelSetRow: Int32Array.from(pods, (p) => (p.labels === undefined ? -1 : labelSet(p.labels))),
    signatureRow: Int32Array.from(pods, signatureRow),
    flags: Int32Array.from(pods, (p) => (p.isDeleting ? PodFlag.deleting : 0)),
  };
  const signatures: SignaturesColumns = {
    rows: specs.length,
    used: new Uint8Array(specs.length).fill(1),
    specJson: Int32Array.from(specs, (spec) => texts.intern(spec)),
    flags: Int32Array.from(specs, (spec) => flagsOf(JSON.parse(spec) as PodConstraints)),
  };
  return { pods: columns as PodsColumns, signatures };
}

function flagsOf(spec: PodConstraints): number {
  const has = (list: readonly unknown[] | undefined): boolean => (list ?? []).length > 0;
  return (
    (spec.nodeSelector || spec.nodeAffinityTerms ? SignatureFlag.nodeAffinity : 0) |
    (has(spec.tolerations) ? SignatureFlag.tolerations : 0) |
    (has(spec.hostPorts) ? SignatureFlag.hostPorts : 0) |
    (has(spec.podAffinity) || has(spec.podAntiAffinity) ? SignatureFlag.podAffinity : 0) |
    (has(spec.preferredPodAffinity) || has(spec.preferredPodAntiAffinity) ? SignatureFlag.preferredPodAffinity : 0) |
    (has(spec.volumeClaims) ? SignatureFlag.volumes : 0) |
    (has(spec.configMaps) ? SignatureFlag.configMaps : 0)
  );
}

function fakeObjects(texts: MutableTexts, objects: readonly FakeObject[]): ObjectsColumns {
  return {
    rows: objects.length,
    used: new Uint8Array(objects.length).fill(1),
    kindCode: Uint8Array.from(objects, (o) => ObjectKind[o.kind]),
    keyText: Int32Array.from(objects, (o) => texts.intern(o.key)),
    specJson: Int32Array.from(objects, (o) => (o.object === undefined ? -1 : texts.intern(JSON.stringify(o.object)))),
  };
}
