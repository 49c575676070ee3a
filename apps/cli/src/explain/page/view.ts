/** What of a drawing is seen: zoomed and moved by keys, buttons and the pointer. */
export interface View {
  zoom(factor: number): void;
  whole(): void;
  /** Moves so that a box between `top` and `bottom` is seen. */
  reveal(top: number, bottom: number): void;
}

/** @param svg has a size on the page; the drawing is `width` × `height` */
export function createView(svg: SVGElement, width: number, height: number): View {
  const size = () => ({ w: Math.max(1, svg.clientWidth), h: Math.max(1, svg.clientHeight) });
  const seen = { x: 0, y: 0, width };
  const ratio = () => size().h / size().w;
  const widest = () => Math.max(width, height / ratio());
  const apply = () => {
    seen.width = Math.min(widest(), Math.max(width / 4, seen.width));
    const tall = seen.width * ratio();
    seen.y = Math.min(Math.max(0, seen.y), Math.max(0, height - tall));
    const room = Math.abs(width - seen.width);
    const [low, high] = seen.width > width ? [-room / 2, -room / 2] : [0, room];
    seen.x = Math.min(high, Math.max(low, seen.x));
    svg.setAttribute('viewBox', `${seen.x} ${seen.y} ${seen.width} ${tall}`);
  };
  const zoom = (factor: number) => {
    const [x, y] = [seen.x + seen.width / 2, seen.y + (seen.width * ratio()) / 2];
    seen.width = Math.min(widest(), Math.max(width / 4, seen.width / factor));
    seen.x = x - seen.width / 2;
    seen.y = y - (seen.width * ratio()) / 2;
    apply();
  };

  let held: { x: number; y: number } | null = null;
  svg.addEventListener('pointerdown', (event) => {
    if (event.pointerType !== 'touch') held = { x: event.clientX, y: event.clientY };
  });
  svg.addEventListener('pointermove', (event) => {
    if (held === null) return;
    const scale = seen.width / size().w;
    seen.x -= (event.clientX - held.x) * scale;
    seen.y -= (event.clientY - held.y) * scale;
    held = { x: event.clientX, y: event.clientY };
    apply();
  });
  for (const end of ['pointerup', 'pointerleave'] as const) {
    svg.addEventListener(end, () => {
      held = null;
    });
  }
  let first = true;
  new ResizeObserver(() => {
    if (first) seen.width = Math.max(0.8 * width, size().w / 1.1);
    if (first) seen.x = width - seen.width;
    first = false;
    apply();
  }).observe(svg);

  return {
    zoom,
    whole: () => {
      seen.width = widest();
      apply();
    },
    reveal: (top, bottom) => {
      const tall = seen.width * ratio();
      const margin = tall / 6;
      if (top < seen.y + margin) seen.y = top - margin;
      else if (bottom > seen.y + tall - margin) seen.y = bottom - tall + margin;
      apply();
    },
  };
}
