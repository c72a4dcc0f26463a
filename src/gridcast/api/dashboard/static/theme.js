// Runs before the first paint, so that a chosen theme never flashes. Without a choice the page follows the system.
(() => {
  const NAME = "gridcast.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem(NAME);
  } catch {
    // Storage is switched off: a choice lasts as long as the page.
  }

  const current = () => (chosen === "dark" || chosen === "light" ? chosen : system.matches ? "dark" : "light");

  const apply = () => {
    const dark = current() === "dark";
    root.dataset.theme = current();
    const button = document.getElementById("theme");
    if (button) button.setAttribute("aria-pressed", String(dark));
    document.dispatchEvent(new Event("themechange"));
  };

  const turn = () => {
    const wanted = current() === "dark" ? "light" : "dark";
    chosen = wanted === (system.matches ? "dark" : "light") ? null : wanted;
    try {
      if (chosen) localStorage.setItem(NAME, chosen);
      else localStorage.removeItem(NAME);
    } catch {
      // As above.
    }
    apply();
  };

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", turn);
  });
})();
