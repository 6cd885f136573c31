/// What pages do beside links and forms, all of which work without it: they renew themselves, and images can
/// be dropped on them.
enum ConsoleScript {
  static let text = #"""
    "use strict";
    (() => {
      const interval = 2000;

      // Makes one tree the other and leaves alone what is the same, so that neither focus, nor what is
      // open, nor the place that is being read is lost.
      const morph = (old, now) => {
        if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) { old.replaceWith(now); return; }
        if (old.nodeType !== Node.ELEMENT_NODE) {
          if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
          return;
        }
        const kept = old.nodeName === "DETAILS" ? ["open"] : [];
        for (const { name } of [...old.attributes]) {
          if (!now.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
        }
        for (const { name, value } of now.attributes) {
          if (old.getAttribute(name) !== value && !kept.includes(name)) old.setAttribute(name, value);
        }
        const before = [...old.childNodes];
        const after = [...now.childNodes];
        after.forEach((node, place) => {
          if (before[place]) morph(before[place], node); else old.append(node);
        });
        before.slice(after.length).forEach((node) => node.remove());
      };

      const fetchPart = async (address, options) => {
        const answer = await fetch(address, {
          ...options, credentials: "same-origin", headers: { "Rowcast-Part": "1" },
          signal: AbortSignal.timeout(15000),
        });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        return { status: answer.status, part: page.getElementById("part") };
      };

      const live = () => {
        const part = document.getElementById("part");
        if (!part || !part.hasAttribute("data-live")) return;
        const pulse = document.querySelector("[data-pulse]");
        const pause = document.querySelector("[data-pause]");
        let isPaused = false;
        let misses = 0;
        const show = (state, word) => {
          pulse.className = "pulse" + (state ? " " + state : "");
          if (pulse.lastChild.nodeValue !== " " + word) pulse.lastChild.nodeValue = " " + word;
        };
        pulse.hidden = pause.hidden = false;
        document.querySelector("[data-reload]").hidden = true;
        pause.addEventListener("click", () => {
          isPaused = !isPaused;
          pause.setAttribute("aria-pressed", String(isPaused));
          show(isPaused ? "stopped" : "", isPaused ? "Paused" : "Live");
        });
        const renew = async () => {
          if (!isPaused && !document.hidden) {
            try {
              const { status, part: now } = await fetchPart(location.href, {});
              if (status === 401) { location.reload(); return; }
              if (status >= 500 || !now) throw new Error(String(status));
              if (!isPaused) { morph(document.getElementById("part"), document.adoptNode(now)); show("", "Live"); }
              misses = 0;
            } catch {
              misses += 1;
              if (misses > 1 && !isPaused) show("lost", "No answer");
            }
          }
          setTimeout(renew, interval * Math.min(1 + misses, 8));
        };
        setTimeout(renew, interval);
      };

      const attempts = () => {
        const form = document.querySelector("form[data-attempt]");
        if (!form) return;
        form.addEventListener("submit", async (event) => {
          event.preventDefault();
          const button = form.querySelector("button[type=submit]");
          const result = document.getElementById("result");
          button.setAttribute("aria-disabled", "true");
          result.setAttribute("aria-busy", "true");
          try {
            const isUpload = form.enctype === "multipart/form-data";
            const data = new FormData(form);
            const { status, part } = await fetchPart(form.action, {
              method: "POST", body: isUpload ? data : new URLSearchParams(data),
            });
            const now = part && part.querySelector("#result");
            if (!now) { form.submit(); return; }
            result.replaceChildren(...document.adoptNode(now).childNodes);
            if (matchMedia("(max-width: 900px)").matches) result.scrollIntoView({ block: "start" });
          } catch {
            const said = document.createElement("p");
            said.className = "problem";
            said.textContent = "The server does not answer. Try again.";
            result.replaceChildren(said);
          } finally {
            button.removeAttribute("aria-disabled");
            result.removeAttribute("aria-busy");
          }
        });
      };

      const drops = () => {
        for (const place of document.querySelectorAll("[data-drop]")) {
          const input = place.querySelector("input[type=file]");
          const image = place.querySelector("img");
          place.querySelector("[data-droppable]").hidden = false;
          const preview = () => {
            const file = input.files[0];
            image.hidden = true;
            if (!file || !file.type.startsWith("image/")) return;
            const reader = new FileReader();
            reader.addEventListener("load", () => { image.src = reader.result; image.hidden = false; });
            reader.readAsDataURL(file);
          };
          const over = (isOver) => (event) => { event.preventDefault(); place.classList.toggle("over", isOver); };
          place.addEventListener("dragover", over(true));
          place.addEventListener("dragleave", over(false));
          place.addEventListener("drop", (event) => {
            over(false)(event);
            if (event.dataTransfer.files.length === 0) return;
            input.files = event.dataTransfer.files;
            preview();
          });
          input.addEventListener("change", preview);
        }
      };

      live();
      attempts();
      drops();
    })();
    """#
}
