// Temporary: replaced by the DRA module.
import type { SnapshotView } from '../../base/snapshotView.ts';
export function openDra(_view: SnapshotView, _params: { queueLabelKey: string }) {
  return {
    nodeGpuCount: (_n: number): number => 0,
    gpuCountOf: (_p: number): number => 0,
    classOfResource: (_n: string): string | null => null,
    isConcerned: (_p: number): boolean => false,
    precheck: (_p: number, _n: string, _q: string): string | null => null,
    check: (_p: number, _n: number): string | null => null,
    place: (_p: number, _n: number, _s: 'used' | 'pipelined' | 'releasing'): boolean => true,
    openPod: (_p: number, _n: number, _s: 'used' | 'pipelined' | 'releasing'): void => {},
    mark: (): number => 0,
    rollback: (_m: number): void => {},
    chargedGpus: (_n: number): { used: number; releasing: number; pipelined: number } => ({ used: 0, releasing: 0, pipelined: 0 }),
    sharedCreditOf: (_p: number, _n: number): number => 0,
    allocationsOf: (_p: number): { name: string; allocation?: unknown }[] => [],
    extendedAllocationOf: (_p: number): unknown | null => null,
  };
}
export type DraSession = ReturnType<typeof openDra>;
