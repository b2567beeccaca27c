// Draws which patches of an image went into which visual token, over an image that can be zoomed.
(() => {
  const SMALLEST_LINED = 7; // CSS pixels of a patch from which clusters are outlined
  const MOST_DOTS = 20000; // of more, none are drawn while they would cover the image
  const DIMMED = 165; // of 255, what went into no token
  const LEGENDS = {
    kept: "Dark: went into no token. A dot: the token itself, its lines: all that it is the mean of.",
    clusters: "One colour for each token.",
    scores: null,
    image: "",
  };
  const RAMP = [[43, 32, 120], [33, 120, 160], [70, 185, 110], [250, 225, 60]];

  /** Return a colour of the ramp for a share from 0 to 1. */
  function ramp(share) {
    const at = share * (RAMP.length - 1);
    const low = Math.min(RAMP.length - 2, Math.floor(at));
    return RAMP[low].map((value, band) => Math.round(value + (at - low) * (RAMP[low + 1][band] - value)));
  }

  /** Return a colour that neighbours do not share: hues a golden angle apart. */
  function hue(number) {
    const angle = (number * 137.508) % 360;
    const band = (shift) => {
      const k = (shift + angle / 30) % 12;
      return Math.round(255 * (0.55 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
    };
    return [band(0), band(8), band(4)];
  }

  /** Return numbers of tokens from the highest score to the lowest, as the rank of each. */
  function ranks(scores) {
    const order = scores.map((_, number) => number).sort((a, b) => scores[b] - scores[a]);
    const found = new Array(scores.length);
    order.forEach((number, rank) => (found[number] = rank));
    return found;
  }

  /** Keep images of one size on the same part: the one under the pointer leads, the others follow. */
  function link(panes) {
    const [{ picture: first }] = panes;
    if (panes.some(({ picture }) => picture.width !== first.width || picture.height !== first.height)) return;
    let leader = null;
    for (const pane of panes) {
      for (const event of ["canvas-enter", "canvas-press", "canvas-scroll"]) pane.osd.addHandler(event, () => (leader = pane));
      pane.osd.addHandler("viewport-change", () => {
        if (leader !== pane) return;
        const bounds = pane.osd.viewport.getBounds(true);
        for (const other of panes) if (other !== pane) other.osd.viewport.fitBounds(bounds, true);
      });
    }
  }

  class Pane {
    constructor(picture, number) {
      this.picture = picture;
      const bytes = Uint8Array.from(atob(picture.owners), (letter) => letter.charCodeAt(0));
      this.owners = new Int32Array(bytes.buffer);
      this.ranks = picture.scores && ranks(picture.scores);
      this.told = document.getElementById(`told${number}`);
      this.hovered = -1;
      this.osd = this.open(document.getElementById(`view${number}`));
      this.canvas = document.createElement("canvas");
      this.canvas.className = "tokens";
      this.osd.canvas.append(this.canvas);
      for (const event of ["update-viewport", "resize", "open"]) this.osd.addHandler(event, () => this.draw());
      this.osd.canvas.addEventListener("pointermove", (event) => this.hover(event));
      this.osd.canvas.addEventListener("pointerleave", () => this.point(-1, -1, -1));
    }

    open(element) {
      const { width, height, tileSide, tiles } = this.picture;
      const maxLevel = Math.ceil(Math.log2(Math.max(width, height)));
      const minLevel = Math.min(...Object.keys(tiles).map((name) => parseInt(name, 10)));
      const getTileUrl = (level, x, y) => tiles[`${level}/${x}_${y}`];
      return window.OpenSeadragon({
        element,
        drawer: "canvas",
        showNavigationControl: false,
        animationTime: 0.3,
        springStiffness: 9,
        maxZoomPixelRatio: 24,
        minZoomImageRatio: 0.85,
        visibilityRatio: 0.4,
        gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
        tileSources: { width, height, tileSize: tileSide, tileOverlap: 0, minLevel, maxLevel, getTileUrl },
      });
    }

    /** Return where the image is: the place of its corner and how many CSS pixels one of its pixels takes. */
    placing() {
      const image = this.osd.world.getItemAt(0);
      if (!image) return null;
      const place = (x) => this.osd.viewport.pixelFromPoint(image.imageToViewportCoordinates(x, 0), true);
      const origin = place(0);
      return { x: origin.x, y: origin.y, scale: (place(this.picture.width).x - origin.x) / this.picture.width };
    }

    show(mode) {
      this.mode = mode;
      this.fill = mode === "image" ? null : this.paint(mode);
      this.draw();
    }

    /** Return a picture of one pixel a patch: what lies over the image. */
    paint(mode) {
      const [rows, columns] = this.picture.grid;
      const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
      const context = canvas.getContext("2d");
      const pixels = context.createImageData(columns, rows);
      const last = Math.max(1, this.picture.rows.length - 1);
      this.owners.forEach((owner, patch) => {
        let colour = [0, 0, 0, DIMMED];
        if (owner >= 0 && mode === "kept") colour = [0, 0, 0, 0];
        else if (owner >= 0 && mode === "clusters") colour = [...hue(owner), 120];
        else if (owner >= 0) colour = [...ramp(this.ranks ? 1 - this.ranks[owner] / last : 0), 150];
        pixels.data.set(colour, 4 * patch);
      });
      context.putImageData(pixels, 0, 0);
      return canvas;
    }

    draw() {
      const placing = this.placing();
      const ratio = window.devicePixelRatio || 1;
      const { clientWidth, clientHeight } = this.osd.canvas;
      this.canvas.width = clientWidth * ratio;
      this.canvas.height = clientHeight * ratio;
      if (!placing || !this.fill) return;
      const context = this.canvas.getContext("2d");
      context.scale(ratio, ratio);
      const { width, height, patch, start, grid } = this.picture;
      context.beginPath();
      context.rect(placing.x, placing.y, width * placing.scale, height * placing.scale);
      context.clip(); // the canvas of cells is larger than the image
      const left = placing.x + start[1] * placing.scale, top = placing.y + start[0] * placing.scale;
      const dx = patch[1] * placing.scale, dy = patch[0] * placing.scale;
      context.imageSmoothingEnabled = false;
      context.drawImage(this.fill, left, top, grid[1] * dx, grid[0] * dy);
      const view = {
        first: [Math.max(0, Math.floor(-top / dy)), Math.max(0, Math.floor(-left / dx))],
        stop: [Math.min(grid[0], Math.ceil((clientHeight - top) / dy)), Math.min(grid[1], Math.ceil((clientWidth - left) / dx))],
      };
      if (Math.min(dx, dy) >= SMALLEST_LINED) {
        this.outline(context, { left, top, dx, dy, ...view }, "rgb(255 255 255 / .8)", 0.8, (owner) => owner >= 0);
      }
      this.dots(context, { left, top, dx, dy });
      if (this.hovered >= 0) {
        this.outline(context, { left, top, dx, dy, ...view }, "#ffd21f", 2.5, (owner) => owner === this.hovered);
      }
    }

    /** Draw the lines between a wanted token's patches and those of others. */
    outline(context, { left, top, dx, dy, first, stop }, colour, width, isWanted) {
      const [rows, columns] = this.picture.grid;
      const owner = (row, column) =>
        row < 0 || column < 0 || row >= rows || column >= columns ? -1 : this.owners[row * columns + column];
      context.beginPath();
      for (let row = first[0]; row <= stop[0]; row++) {
        for (let column = first[1]; column <= stop[1]; column++) {
          const here = owner(row, column), above = owner(row - 1, column), before = owner(row, column - 1);
          const x = left + column * dx, y = top + row * dy;
          if (here !== above && (isWanted(here) || isWanted(above))) context.rect(x, y, dx, 0);
          if (here !== before && (isWanted(here) || isWanted(before))) context.rect(x, y, 0, dy);
        }
      }
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }

    dots(context, { left, top, dx, dy }) {
      const radius = Math.max(1, Math.min(4, Math.min(dx, dy) / 5));
      const { rows, columns, sizes } = this.picture;
      if (rows.length > MOST_DOTS && Math.min(dx, dy) < 4) return;
      const { clientWidth, clientHeight } = this.osd.canvas;
      context.beginPath();
      rows.forEach((row, number) => {
        if (!sizes[number]) return;
        const x = left + (columns[number] + 0.5) * dx, y = top + (row + 0.5) * dy;
        if (x < -dx || y < -dy || x > clientWidth + dx || y > clientHeight + dy) return;
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 2 * Math.PI);
      });
      context.fillStyle = "#ffd21f";
      context.strokeStyle = "rgb(0 0 0 / .7)";
      context.lineWidth = 1;
      context.stroke();
      context.fill();
    }

    hover(event) {
      const placing = this.placing();
      if (!placing) return;
      const box = this.osd.canvas.getBoundingClientRect();
      const at = (value, start, patch) => Math.floor((value / placing.scale - start) / patch);
      const { start, patch, grid } = this.picture;
      const row = at(event.clientY - box.top - placing.y, start[0], patch[0]);
      const column = at(event.clientX - box.left - placing.x, start[1], patch[1]);
      const isInside = row >= 0 && column >= 0 && row < grid[0] && column < grid[1];
      this.point(isInside ? this.owners[row * grid[1] + column] : -1, isInside ? row : -1, column);
    }

    /** Say which token a patch went into, and outline it. */
    point(owner, row, column) {
      const { sizes, scores, rows } = this.picture;
      let text = row < 0 ? "" : `Patch ${row}, ${column}: in no token`;
      if (owner >= 0) {
        text = `Token ${owner + 1} of ${rows.length}: ${sizes[owner]} ${sizes[owner] === 1 ? "patch" : "patches"}`;
        if (scores) text += `, score ${scores[owner]}, rank ${this.ranks[owner] + 1}`;
      }
      this.told.textContent = text;
      if (owner === this.hovered) return;
      this.hovered = owner;
      this.draw();
    }
  }

  const pictures = JSON.parse(document.getElementById("pictures").textContent);
  const panes = pictures.map((picture, number) => new Pane(picture, number));
  link(panes);
  const buttons = [...document.querySelectorAll("[data-mode]")];
  const legend = document.getElementById("legend");

  function choose(mode) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    for (const pane of panes) pane.show(mode);
    legend.textContent = LEGENDS[mode] ?? "";
    if (mode !== "scores") return;
    const bar = document.createElement("i");
    bar.style.background = `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour})`).join()})`;
    legend.append("lowest rank", bar, "highest");
  }

  for (const button of buttons) {
    button.addEventListener("click", () => choose(button.dataset.mode));
    if (button.dataset.mode === "scores") button.disabled = panes.every((pane) => !pane.ranks);
  }
  const asked = location.hash.slice(1);
  choose(asked in LEGENDS ? asked : "kept");
})();
