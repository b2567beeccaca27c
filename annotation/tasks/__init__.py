"""The 22 tasks: a file for each level-2 group of the taxonomy. Importing the package registers them all."""

from rsvqa.annotation.tasks import anomaly as anomaly
from rsvqa.annotation.tasks import captioning as captioning
from rsvqa.annotation.tasks import change as change
from rsvqa.annotation.tasks import counting as counting
from rsvqa.annotation.tasks import grounding as grounding
from rsvqa.annotation.tasks import land_use as land_use
from rsvqa.annotation.tasks import object_properties as object_properties
from rsvqa.annotation.tasks import planning as planning
from rsvqa.annotation.tasks import presence as presence
from rsvqa.annotation.tasks import reasoning as reasoning
from rsvqa.annotation.tasks import spatial as spatial
