// The real engine, which throws when it first evaluates nodes for pods of jobs called `bomb-…`: in the middle of an attempt, whoever's it is.
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import * as engine from '../../src/engine/cycle.ts';
import type { SearchPort } from '../../src/engine/parallel.ts';

export { openSearch, stateBytes } from '../../src/engine/cycle.ts';
export { viewSnapshot } from '../../src/snapshot/view.ts';

export const runCycle: typeof engine.runCycle = (view, config, nowMs, state, sink, port, faults) =>
  engine.runCycle(view, config, nowMs, state, sink, mined(view, port), faults);

export const followCycle: typeof engine.followCycle = (view, config, nowMs, state, port) =>
  engine.followCycle(view, config, nowMs, state, mined(view, port));

function mined(view: SnapshotView, port: SearchPort): SearchPort {
  const { pods, texts } = view;
  const shapes = new Set<number>();
  for (let p = 0; p < pods.rows; p++) {
    if (pods.used[p] === 1 && pods.groupKeyText[p]! >= 0 && texts.get(pods.groupKeyText[p]!).includes('/bomb-'))
      shapes.add(pods.shapeRow[p]!);
  }
  return {
    search(request, inline) {
      if (shapes.has(request.shapeRow)) throw new RangeError(`bomb of shape\nwith a second line`);
      port.search(request, inline);
    },
    isKnownToFail: () => port.isKnownToFail(),
    tell: (isPlaced) => port.tell(isPlaced),
    find: (search) => port.find(search),
  };
}
