import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { parseSnapshotDocument } from '../../src/snapshot/import/snapshotDocument.ts';
import { allLive, type DraCluster, type Lists, openCluster } from './cluster.ts';

const ROOT = process.env['KAI_CONFORMANCE_DIR'] ?? join(import.meta.dirname, '../../../shared/conformance');
if (!existsSync(ROOT)) console.warn(`SKIPPED: no conformance cases in ${ROOT} (set KAI_CONFORMANCE_DIR)`);
const FIELD = /claim/;

interface Named {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly ownerReferences?: readonly { uid: string }[];
  };
}
interface RawClaim extends Named {
  readonly spec: {
    readonly devices: { readonly requests: readonly { exactly: { deviceClassName: string; allocationMode: string; count?: number } }[] };
  };
  readonly status?: {
    readonly allocation?: { readonly devices: { readonly results: readonly { driver: string; pool: string; device: string }[] } };
    readonly reservedFor?: readonly { readonly uid: string }[];
  };
}
interface RawPod extends Named {
  readonly spec: { readonly nodeName?: string; readonly resourceClaims?: readonly { readonly resourceClaimName?: string }[] };
  readonly status: { readonly phase: string };
}
interface RawSlice extends Named {
  readonly spec: { readonly nodeName?: string; readonly driver: string; readonly devices: readonly unknown[] };
}

function load(file: string): { raw: Record<string, readonly object[]>; cluster: DraCluster } {
  const json = JSON.parse(readFileSync(file, 'utf8')) as { rawObjects: Record<string, readonly object[]> };
  const input = parseSnapshotDocument(json, file);
  return { raw: json.rawObjects, cluster: openCluster(input.objects as Lists, { ...DEFAULT_SNAPSHOT_OPTIONS, isDraServed: true }) };
}

const files = (suite: string): string[] =>
  readdirSync(join(ROOT, suite))
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => join(ROOT, suite, name));
const keyOf = ({ metadata }: Named): string => `${metadata.namespace ?? 'default'}/${metadata.name}`;
const isGpu = (name: string): boolean => name.toLowerCase().includes('gpu');

/** Claims of a pod and their GPUs by the words of spec 03 section 11.2. */
function claimsOf(pod: RawPod, claims: readonly RawClaim[]): RawClaim[] {
  return claims.filter(({ metadata, status }) => {
    const owner = metadata.ownerReferences?.[0]?.uid ?? status?.reservedFor?.[0]?.uid;
    if (owner === pod.metadata.uid) return true;
    return (
      pod.spec.resourceClaims?.some((r) => r.resourceClaimName === metadata.name) === true && metadata.namespace === pod.metadata.namespace
    );
  });
}
const gpusOf = ({ spec }: RawClaim): number =>
  spec.devices.requests
    .filter((r) => isGpu(r.exactly.deviceClassName))
    .reduce((sum, { exactly }) => sum + (exactly.allocationMode === 'All' ? 1 : (exactly.count ?? 1)), 0);

describe.skipIf(!existsSync(ROOT))('conformance clusters with claims', () => {
  const all = existsSync(ROOT)
    ? [...files('stated-dra'), ...files('recorded-dra'), ...files('field').filter((file) => FIELD.test(file))]
    : [];

  test('counts of pods and nodes, and devices in use, are those of the objects', () => {
    let counted = 0;
    let charged = 0;
    for (const file of all) {
      const { raw, cluster: c } = load(file);
      const pods = (raw['pods'] ?? []) as readonly RawPod[];
      const claims = (raw['resourceClaims'] ?? []) as readonly RawClaim[];
      for (const pod of pods) {
        const expected = claimsOf(pod, claims).reduce((sum, claim) => sum + gpusOf(claim), 0);
        expect([file, keyOf(pod), c.dra.gpuCountOf(c.pod(keyOf(pod)))]).toEqual([file, keyOf(pod), expected]);
        counted += expected;
      }
      const slices = (raw['resourceSlices'] ?? []) as readonly RawSlice[];
      const inUse = new Map<string, Set<string>>();
      c.dra.registerBindRequests(allLive(c.view));
      for (const pod of pods) {
        const name = pod.spec.nodeName;
        if (name === undefined || pod.status.phase !== 'Running') continue;
        c.dra.openPod(c.pod(keyOf(pod)), c.node(name), 'used');
        for (const claim of claimsOf(pod, claims)) {
          const gpus = (claim.status?.allocation?.devices.results ?? []).filter((r) => isGpu(r.driver)).slice(0, gpusOf(claim));
          for (const r of gpus) inUse.set(name, (inUse.get(name) ?? new Set()).add(`${r.driver} ${r.pool} ${r.device}`));
        }
      }
      for (const { metadata } of (raw['nodes'] ?? []) as readonly Named[]) {
        const own = slices.filter(({ spec }) => spec.nodeName === metadata.name && isGpu(spec.driver));
        const row = c.node(metadata.name);
        expect([file, c.dra.nodeGpuCount(row)]).toEqual([file, own.reduce((sum, { spec }) => sum + spec.devices.length, 0)]);
        expect([file, c.dra.chargedGpus(row)]).toEqual([file, { used: inUse.get(metadata.name)?.size ?? 0, releasing: 0, pipelined: 0 }]);
        charged += inUse.get(metadata.name)?.size ?? 0;
      }
    }
    expect(counted).toBeGreaterThan(100);
    expect(charged).toBeGreaterThan(50);
  });

  test('texts of the pre-checks of the stated cases', () => {
    const text = (number: string): (string | null)[] => {
      const { raw, cluster: c } = load(join(ROOT, 'stated-dra', `${number}.json`));
      return (raw['pods'] as readonly RawPod[]).map((pod) => c.dra.precheck(c.pod(keyOf(pod)), keyOf(pod), 'q1'));
    };
    expect(text('002')).toEqual([null]);
    expect(text('006')).toEqual([null]);
    expect(text('009')).toEqual([
      expect.stringMatching(/^pod test\/j1-0 cannot be scheduled: DRA claim c1 is a shared GPU claim but does not have/),
    ]);
    expect(text('010')).toEqual([expect.stringMatching(/with wrong queue label \(expected queue: q1, claim queue label: .+\)$/)]);
  });

  test('stated 007: a shared claim runs out of consumers in the middle of a gang', () => {
    const { cluster: c } = load(join(ROOT, 'stated-dra', '007.json'));
    const placed = ['j1-0', 'j1-1', 'j1-2'].map((name) => {
      const p = c.pod(`test/${name}`);
      return c.dra.precheck(p, `test/${name}`, 'q1') === null && c.dra.place(p, c.node('n1'), 'used');
    });
    expect(placed).toContain(false);
    expect(placed[0]).toBe(true);
  });
});
