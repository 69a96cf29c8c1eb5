// Light or dark: as the system says, until somebody chooses. What is drawn follows the same colours.

const look = (() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  let colours = {};

  function remembered() {
    try {
      return localStorage.getItem("scalable-theme");
    } catch {
      return null; // a browser may refuse to keep anything for a file
    }
  }

  function remember(theme) {
    try {
      localStorage.setItem("scalable-theme", theme);
    } catch {
      // then it holds as long as the page is open
    }
  }

  function show(theme) {
    root.dataset.theme = theme;
    $("theme").textContent = theme === "dark" ? "Light" : "Dark";
    const style = getComputedStyle(root);
    colours = {};
    for (const name of ["card", "line", "soft", "lane", "text", "muted", "accent", "succeeded", "failed", "retry", "park", "other"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    for (const listener of listeners) listener();
  }

  const wanted = () => remembered() || (system.matches ? "dark" : "light");
  show(wanted());
  system.addEventListener("change", () => show(wanted()));
  $("theme").addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    remember(theme);
    show(theme);
  });
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    show("light");
  });
  window.addEventListener("afterprint", () => show(before || wanted()));

  return {
    colour: (name) => colours[name],
    whenChanged: (act) => listeners.push(act),
  };
})();
