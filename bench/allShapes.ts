import { SHAPES, type Shape } from './shapes.ts';
import { VICTIM_SHAPES } from './victimShapes.ts';

export const ALL_SHAPES: readonly Shape[] = [...SHAPES, ...VICTIM_SHAPES];
