"""isobar: one timeline, a track for each part, its OSC output device."""

import isobar as iso
from common import end_after, options, start_busy
from isobar.io.osc.output import OSCOutputDevice

ask = options()
timeline = iso.Timeline(240, output_device=OSCOutputDevice("127.0.0.1", ask.port))
timeline.max_tracks = ask.parts
for number in range(ask.parts):
    timeline.schedule(
        {
            "osc_address": f"/part/{number}/note",
            "osc_params": [60, 0.8, 0.05],
            "duration": 0.25,
        }
    )
start_busy(ask.busy)
end_after(ask.seconds)
timeline.run()
