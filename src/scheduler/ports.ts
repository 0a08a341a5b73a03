// What the loop needs of others. The binder's side is declared in its own folder, because imports go down only.
export type { BindOrder, BindOutcome, ObservedCluster, PodBinder } from '../binder/port.ts';
